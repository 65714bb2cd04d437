"""Functions and methods of the frameworks that the catalogue leaves out on purpose, by the reason.

A name stands for the same in every framework; with an underscore behind it, in place.
"""

from __future__ import annotations

#: reason -> names
NOT_FOLLOWED: dict[str, str] = {
    "another function of each number: what comes out is neither scores nor a probability": (
        "acos acosh angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh "
        "bessel_i0 bessel_i0e bessel_i1 bessel_i1e betainc cbrt copysign cos cosh cumulative_logsumexp deg2rad "
        "degrees digamma erf erfc erfcinv erfinv exp2 expm1 fabs float_power fmax fmin frexp glu heaviside hypot "
        "i0 igamma igammac imag lbeta ldexp lgamma logaddexp2 logcumsumexp logit modf moments mvlgamma ndtri "
        "nextafter polar polygamma polyval pow psnr ptp rad2deg radians rsqrt sgn sign signbit sin sinc sinh "
        "spacing squared_difference std tan unwrap var xdivy xlog1py zeta"
    ),
    "another way to a whole number or a remainder": (
        "ceil divmod fix floor floor_divide floordiv floormod fmod frac mod remainder trunc"
    ),
    "of whole numbers, bits or answers": (
        "all any bincount bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not bitwise_or "
        "bitwise_right_shift bitwise_xor gcd invert invert_permutation lcm left_shift logical_and logical_not "
        "logical_or logical_xor packbits reduce_all reduce_any right_shift unpackbits"
    ),
    "a question about a value, or about its type": (
        "allclose array_equal array_equiv can_cast const_data_ptr count_nonzero data_ptr dense_dim dim dim_order "
        "dtype element_size equal get_device hash_tensor is_coalesced is_complex is_conj is_contiguous "
        "is_distributed is_finite is_floating_point is_inf is_inference is_nan is_neg is_non_decreasing is_nonzero "
        "is_pinned is_same_size is_set_to is_shared is_signed is_strictly_increasing is_tensor isclose iscomplex "
        "iscomplexobj isdtype isfinite isin isinf isnan isneginf isposinf isreal isrealobj isscalar issubdtype "
        "iterable ndim ndimension nelement numel promote_types q_per_channel_axis q_per_channel_scales "
        "q_per_channel_zero_points q_scale q_zero_point qscheme result_type shape size sparse_dim storage_offset "
        "stride zero_fraction"
    ),
    "a statistic, or a product, of several numbers": (
        "aminmax approx_max_k approx_min_k argpartition cdist confusion_matrix corrcoef correlate cov cummax "
        "cummin cumprod cumulative_prod diff digitize dist ediff1d gradient histc histogram histogram2d "
        "histogram_bin_edges histogramdd kthvalue lexsort median mode msort nanargmin nancumprod nancumsum "
        "nanmedian nanpercentile nanprod nanquantile nanstd nanvar norm partition percentile prod quantile "
        "reduce_euclidean_norm reduce_prod reduce_std reduce_variance renorm searchsorted sort_complex sparsemax "
        "trapezoid"
    ),
    "algebra of matrices, or of polynomials": (
        "addbmm addcdiv addcmul addmv addr baddbmm batch_normalization cholesky cholesky_inverse cholesky_solve "
        "convolve cross det dot_product_attention eig eigh einsum_path geqrf ger inner inv inverse kron "
        "layer_normalization logdet lstsq lu lu_factor lu_solve matrix_exp matrix_power matrix_rank matvec orgqr "
        "ormqr outer pinv pinverse poly polyadd polyder polydiv polyfit polyint polymul polysub qr "
        "rms_normalization roots slogdet smm solve solve_triangular sspaddmm svd symeig trace triangular_solve "
        "vander vdot vecdot vecmat"
    ),
    "some entries are replaced by others, or others are added": (
        "append as_strided_scatter copy delete diagonal_scatter index_add index_copy index_fill index_put "
        "index_reduce insert lerp masked_scatter pad piecewise place put put_along_axis scatter "
        "scatter_reduce scatter_update select select_scatter slice_inverse slice_scatter slice_update tril "
        "trim_zeros triu"
    ),
    "sums over groups of entries": (
        "accumulate_n add_n segment_max segment_mean segment_min segment_prod segment_sum sum_to_size "
        "unsorted_segment_max unsorted_segment_mean unsorted_segment_min unsorted_segment_prod "
        "unsorted_segment_sqrt_n unsorted_segment_sum"
    ),
    "where entries stand, or which there are": (
        "argwhere diag_indices diag_indices_from flatnonzero get_item index indices intersect1d ix_ mask_indices "
        "nonzero nonzero_static ravel_multi_index setdiff1d setxor1d tril_indices tril_indices_from triu_indices "
        "triu_indices_from union1d unique unique_all unique_consecutive unique_counts unique_inverse unique_values "
        "unravel_index"
    ),
    "another arrangement, in which no axis is one of classes": (
        "as_strided block broadcast_arrays broadcast_shapes depth_to_space diag diag_embed diagflat "
        "extract_sequences fold meshgrid multi_hot rearrange space_to_depth to_padded_tensor unfold "
        "view_as_complex view_as_real"
    ),
    "numbers that have nothing to do with those before": (
        "arange bartlett bernoulli blackman cauchy empty empty_like exponential eye fill fill_diagonal from_dlpack "
        "frombuffer fromfile fromfunction fromiter fromstring full full_like geometric geomspace hamming hanning "
        "identity kaiser linspace load log_normal logspace new new_empty new_empty_strided new_full new_ones "
        "new_tensor new_zeros normal random set sobol_sample tri uniform zero zeros zeros_like"
    ),
    "signals": ("fft fft2 ifft2 interp irfft istft rfft stft"),
    "where a tensor lies, how it is stored, and its gradient": (
        "as_subclass backward ccol_indices cdouble cfloat chalf col_indices crow_indices int_repr ipu module_load "
        "mtia record_stream register_hook register_post_accumulate_grad_hook reinforce resize_as_sparse "
        "retain_grad row_indices sparse_mask sparse_resize sparse_resize_and_clear storage storage_type to_dense "
        "to_mkldnn to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc to_sparse_csr untyped_storage "
        "values"
    ),
    "how arrays are read and printed": (
        "array_repr array_str get_printoptions printoptions save savez set_printoptions"
    ),
    "runs what it is handed": (
        "apply apply_along_axis apply_over_axes associative_scan custom_gradient fori_loop frompyfunc jvp map map2 "
        "scan switch vectorize vectorized_map while_loop"
    ),
    "gated and attending layers of Keras, and its decoders": ("ctc_decode sparse_plus sparse_sigmoid"),
}
