#include "peft/adapter/operator_traits.h"

#include <initializer_list>
#include <unordered_map>

namespace peft::dispatch {
namespace {

using Table = std::unordered_map<std::string_view, OperatorTraits>;

void add(Table& table, OperatorTraits traits, std::initializer_list<std::string_view> names) {
  for (auto name : names) table.emplace(name, traits);
}

void add_kinds(Table& table) {
  add(table, {.kind = CallKind::kProduct},
      {"linear",
       "addmm",
       "mm",
       "matmul",
       "bmm",
       "baddbmm",
       "addbmm",
       "mv",
       "addmv",
       "addr",
       "dot",
       "vdot",
       "inner",
       "outer",
       "ger",
       "einsum",
       "tensordot",
       "kron",
       "chain_matmul",
       "bilinear",
       "linalg_matmul",
       "linalg_vecdot",
       "linalg_multi_dot",
       "_addmm_activation",
       "sspaddmm",
       "smm",
       "sparse_sampled_addmm",
       "mkldnn_linear",
       "_trilinear",
       "_sparse_mm",
       "hspmm",
       "lstm",
       "gru",
       "rnn_tanh",
       "rnn_relu",
       "lstm_cell",
       "gru_cell",
       "rnn_tanh_cell",
       "rnn_relu_cell",
       "_cudnn_rnn",
       "mkldnn_rnn_layer",
       "_native_multi_head_attention",
       "_transform_bias_rescale_qkv",
       "_transformer_encoder_layer_fwd"});
  add(table, {.kind = CallKind::kLookup},
      {"embedding", "embedding_bag", "_embedding_bag", "_embedding_bag_forward_only",
       "embedding_sparse_backward", "index", "_unsafe_index", "index_select", "gather", "take",
       "take_along_dim"});
  add(table, {.kind = CallKind::kConvolution},
      {"conv1d",
       "conv2d",
       "conv3d",
       "conv_tbc",
       "convolution",
       "_convolution",
       "_convolution_mode",
       "convolution_overrideable",
       "conv_transpose1d",
       "conv_transpose2d",
       "conv_transpose3d",
       "mkldnn_convolution",
       "cudnn_convolution",
       "cudnn_convolution_transpose",
       "miopen_convolution",
       "slow_conv3d",
       "thnn_conv2d",
       "slow_conv_transpose2d",
       "slow_conv_transpose3d",
       "slow_conv_dilated2d",
       "slow_conv_dilated3d",
       "_conv_depthwise2d",
       "conv_depthwise3d",
       "_slow_conv2d_forward"});
}

void add_uses(Table& table) {
  add(table, {.use = Use::kMetadata},
      {"size",
       "stride",
       "sym_size",
       "sym_numel",
       "sym_stride",
       "sym_storage_offset",
       "numel",
       "dim",
       "is_complex",
       "is_floating_point",
       "is_signed",
       "is_leaf",
       "is_conj",
       "is_neg",
       "is_inference",
       "is_same_size",
       "is_set_to",
       "is_pinned",
       "is_contiguous",
       "result_type",
       "can_cast",
       "output_nr",
       "retains_grad",
       "_version",
       "empty_like",
       "zeros_like",
       "ones_like",
       "full_like",
       "rand_like",
       "randn_like",
       "randint_like",
       "new_empty",
       "new_empty_strided",
       "new_zeros",
       "new_ones",
       "new_full",
       "_has_same_storage_numel",
       "_has_compatible_shallow_copy_type",  // asked by set_data, and so by Module::to
       "_nested_tensor_size",
       "_shape_as_tensor",
       "promote_types",
       "_debug_has_internal_overlap"});
  add(table, {.use = Use::kBookkeeping}, {"copy", "equal"});
  add(table, {.use = Use::kArithmetic},
      {"add",     "sub",     "rsub", "mul",    "div",         "neg",
       "abs",     "sign",    "sqrt", "square", "pow",         "reciprocal",
       "addcmul", "addcdiv", "lerp", "norm",   "linalg_norm", "linalg_vector_norm",
       "maximum", "minimum", "clamp"});
  add(table, {.use = Use::kIdentity},
      {"requires_grad", "retain_grad", "detach_", "set_data", "set", "resize", "resize_as",
       "resize_as_sparse", "_resize_output", "record_stream", "rename", "_backward"});
  add(table, {.use = Use::kReshapeInPlace},
      {"t_", "transpose_", "swapaxes_", "swapdims_", "squeeze_", "unsqueeze_", "as_strided_",
       "sparse_resize", "sparse_resize_and_clear"});
}

const Table& table() {
  static const auto* made = [] {
    auto* out = new Table;
    add_kinds(*out);
    add_uses(*out);
    return out;
  }();
  return *made;
}

// "add_" and "_foreach_add" use a weight as "add" does.
std::string_view stem(std::string_view name) {
  constexpr std::string_view kForeach = "_foreach_";
  if (name.starts_with(kForeach)) name.remove_prefix(kForeach.size());
  if (name.size() > 1 && name.ends_with('_')) name.remove_suffix(1);
  return name;
}

}  // namespace

OperatorTraits traits_of(std::string_view op) {
  constexpr std::string_view kAten = "aten::";
  if (!op.starts_with(kAten)) return {};
  op.remove_prefix(kAten.size());
  auto found = table().find(op);
  if (found == table().end()) found = table().find(stem(op));
  return found == table().end() ? OperatorTraits{} : found->second;
}

}  // namespace peft::dispatch
