#include "peft/tensor/tree.h"

#include <memory>
#include <unordered_map>

namespace peft {

std::string join_path(std::string_view parent, std::string_view child) {
  if (parent.empty()) return std::string(child);
  std::string out(parent);
  if (!child.empty()) {
    out += '.';
    out += child;
  }
  return out;
}

SplitPath split_path(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {{}, name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

namespace {

void walk(torch::nn::Module& module, const std::string& name,
          const std::function<void(const std::string&, torch::nn::Module&)>& visit) {
  visit(name, module);
  for (const auto& child : module.named_children()) {
    if (child.value() != nullptr) walk(*child.value(), join_path(name, child.key()), visit);
  }
}

}  // namespace

void walk_modules(torch::nn::Module& root,
                  const std::function<void(const std::string&, torch::nn::Module&)>& visit) {
  walk(root, "", visit);
}

void walk_parameters(torch::nn::Module& root,
                     const std::function<void(const std::string&, at::Tensor&)>& visit) {
  walk_modules(root, [&](const std::string& name, torch::nn::Module& module) {
    for (auto& item : module.named_parameters(/*recurse=*/false)) {
      if (item.value().defined()) visit(join_path(name, item.key()), item.value());
    }
  });
}

void walk_buffers(torch::nn::Module& root,
                  const std::function<void(const std::string&, at::Tensor&)>& visit) {
  walk_modules(root, [&](const std::string& name, torch::nn::Module& module) {
    for (auto& item : module.named_buffers(/*recurse=*/false)) {
      if (item.value().defined()) visit(join_path(name, item.key()), item.value());
    }
  });
}

torch::nn::Module* find_module(torch::nn::Module& root, std::string_view name) {
  torch::nn::Module* module = &root;
  while (!name.empty()) {
    const size_t dot = name.find('.');
    const std::string leaf(name.substr(0, dot));
    const auto children = module->named_children();
    const auto* child = children.find(leaf);
    if (child == nullptr || *child == nullptr) return nullptr;
    module = child->get();  // its parent keeps it alive
    name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  }
  return module;
}

std::vector<std::vector<std::string>> shared_parameters(torch::nn::Module& root) {
  std::vector<std::vector<std::string>> groups;
  std::unordered_map<const at::TensorImpl*, size_t> places;
  walk_parameters(root, [&](const std::string& name, at::Tensor& tensor) {
    const auto [place, added] = places.try_emplace(tensor.unsafeGetTensorImpl(), groups.size());
    if (added) groups.emplace_back();
    groups[place->second].push_back(name);
  });
  std::erase_if(groups, [](const auto& names) { return names.size() < 2; });
  return groups;
}

}  // namespace peft
