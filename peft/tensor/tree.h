#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace peft {

/// "model.layers" + "0" -> "model.layers.0"; an empty parent adds nothing.
std::string join_path(std::string_view parent, std::string_view child);

/// "model.layers.0" -> {"model.layers", "0"}; a name without a dot has an empty parent.
struct SplitPath {
  std::string_view parent, leaf;
};
SplitPath split_path(std::string_view name);

/// Calls `visit` with every module below and including `root` (whose name is empty), a parent
/// before its children, in the order of registration. A module that is registered under several
/// names is visited under each. The root needs no shared pointer.
void walk_modules(torch::nn::Module& root,
                  const std::function<void(const std::string&, torch::nn::Module&)>& visit);

/// Calls `visit` with every parameter in the order of walk_modules; a tensor that several names
/// share comes under each of them (as named_parameters of libtorch does, unlike Python's).
void walk_parameters(torch::nn::Module& root,
                     const std::function<void(const std::string&, at::Tensor&)>& visit);

/// The same for buffers.
void walk_buffers(torch::nn::Module& root,
                  const std::function<void(const std::string&, at::Tensor&)>& visit);

/// The module of that dotted name (empty: the root); nullptr where there is none.
torch::nn::Module* find_module(torch::nn::Module& root, std::string_view name);

/// Lists of parameter names that stand for one tensor (tied weights), each list and all of them in
/// the order of walk_parameters; names that share with no other are left out.
std::vector<std::vector<std::string>> shared_parameters(torch::nn::Module& root);

}  // namespace peft
