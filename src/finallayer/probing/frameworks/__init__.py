"""What differs between frameworks when a loss is measured: a file each, loaded where its framework is."""
