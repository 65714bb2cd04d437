"""Logs whose logits are at hand beside the probabilities, as TensorFlow's GANs have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired

HEAD = (
    "import tensorflow as tf\n\n\nclass GAN:\n    def discriminator(self, x, reuse=False):\n"
    '        with tf.variable_scope("d", reuse=reuse):\n            h = tf.layers.dense(x, 1)\n'
    "            return tf.nn.sigmoid(h), h\n\n    def build(self, x, g):\n"
)
TAIL = (
    "\n\ngan = GAN()\nx, g = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 3])\n"
    "gan.build(x, g)\nstep = tf.train.AdamOptimizer().minimize(gan.loss)\n"
)
SHOWN = '        self.shown = tf.summary.histogram("d", self.D)\n'
BUILD = "        self.D, self.z = self.discriminator(x)\n" + SHOWN
BOTH = (
    "        def loss_of(real, real_logits, fake, fake_logits):\n"
    "            shown = tf.summary.scalar('d', tf.reduce_sum(real))\n"
    "            return -tf.reduce_mean({} + {}), shown, real, fake\n\n"
    "        real, real_logits = self.discriminator(x)\n        fake, fake_logits = self.discriminator(g, reuse=True)\n"
    "        self.loss, self.shown, self.real, self.fake = loss_of({})\n"
)
GIVEN = "real, real_logits, fake, fake_logits"
SAFE = {
    "an attribute": (
        BUILD + "        self.loss = -tf.reduce_mean(tf.log(self.D + 1e-8))\n",
        BUILD + "        self.loss = -tf.reduce_mean(tf.log_sigmoid(self.z))\n",
    ),
    "one minus it, some of it": (
        BUILD + "        self.loss = -tf.reduce_mean(tf.log(1 - self.D)[:, -1])\n",
        BUILD + "        self.loss = -tf.reduce_mean(tf.log_sigmoid(-self.z)[:, -1])\n",
    ),
    "handed over together": (
        BOTH.format("tf.log(real)", "tf.log(1 - fake)", GIVEN),
        BOTH.format("tf.log_sigmoid(real_logits)", "tf.log_sigmoid(-fake_logits)", GIVEN),
    ),
    "handed over crosswise": (
        BOTH.format("tf.log(real)", "tf.log(1 - fake)", "real, fake_logits, fake, real_logits"),
        BOTH.format(
            "tf.log_sigmoid(fake_logits)", "tf.log_sigmoid(-real_logits)", "real, fake_logits, fake, real_logits"
        ),
    ),
    "another is kept under the name": (
        BUILD + "        self.z = x\n        self.loss = -tf.reduce_mean(tf.log(self.D + 1e-8))\n",
        BUILD + "        self.z = x\n        self.loss = -tf.reduce_mean(tf.log(self.D + 1e-8))\n",
    ),
    "the parameter changes": 2
    * (
        BOTH.format("tf.log(real)", "0", GIVEN).replace(
            "            shown =", "            real_logits = real_logits * 2\n            shown ="
        ),
    ),
}


@pytest.mark.parametrize(("before", "after"), SAFE.values(), ids=SAFE)
def test_a_log_reads_the_logits_at_hand(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, HEAD + before + TAIL) == HEAD + after + TAIL


def test_another_program_may_hand_other_logits(tmp_path: Path) -> None:
    (tmp_path / "losses.py").write_text(
        "import torch\n\n\ndef loss(p, z, y):\n    print(p.sum())\n    return -(y * torch.log(p)).sum()\n"
    )
    start = (
        "import torch\nfrom losses import loss\n\nz, y = torch.nn.Linear(4, 1)(torch.rand(5, 4)), torch.ones(5, 1)\n"
    )
    (tmp_path / "train.py").write_text(start + "loss(torch.sigmoid(z), z, y).backward()\n")
    assert [d.path.name for d, _ in repaired(tmp_path / "train.py").changed] == ["losses.py"]
    (tmp_path / "other.py").write_text(start + "loss(torch.sigmoid(z), 2 * z, y).backward()\n")
    after = {d.path.name: new for d, new in repaired(tmp_path / "train.py").changed}
    assert b"sigmoid(z)" not in after.get("losses.py", b"")
