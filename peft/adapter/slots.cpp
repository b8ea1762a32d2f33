#include "peft/adapter/slots.h"

#include <algorithm>

#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

[[noreturn]] void throw_taken(const torch::nn::Module& home, const std::string& name) {
  throw ConfigError("module of type " + home.name() + ": the name '" + name +
                    "' is taken: expected it to be free for the adapter's parameters, got a "
                    "member of the module. Rename that member, or do not target the module.");
}

}  // namespace

void SlotModule::put(const std::string& name, const at::Tensor& tensor, bool is_buffer) {
  if (is_buffer) {
    register_buffer(name, tensor);
  } else {
    register_parameter(name, tensor, tensor.requires_grad());
  }
}

void SlotModule::erase_parameter(const std::string& name) {
  if (parameters_.contains(name)) parameters_.erase(name);
}

// They are protected; a pointer to member formed in a child may reach them.
const torch::OrderedDict<std::string, at::Tensor>& SlotModule::parameters_of(
    const torch::nn::Module& module) {
  return module.*(&SlotModule::parameters_);
}

std::shared_ptr<SlotModule> AdapterSlots::slot(const std::string& name) {
  for (const auto& [known, module] : slots_) {
    if (known == name) return module;
  }
  auto module = std::make_shared<SlotModule>(name);
  slots_.emplace_back(name, module);
  if (auto home = home_.lock()) {
    module->train(home->is_training());
    home->register_module(name, module);
  }
  return module;
}

at::Tensor AdapterSlots::add(const std::string& slot_name, const std::string& adapter,
                             const std::string& name, const at::Tensor& value, FileName file_name) {
  if (!name.empty()) {
    const at::Tensor leaf = add_tree(slot_name, adapter, name, value, false);
    entries_.back().file_name = file_name;
    return leaf;
  }
  at::Tensor leaf = value.detach().requires_grad_(true);
  slot(slot_name)->put(adapter, leaf);
  mark_as_adapter_parameter(leaf);
  entries_.push_back({slot_name, adapter, "", leaf, false, file_name});
  return leaf;
}

at::Tensor AdapterSlots::add_buffer(const std::string& slot_name, const std::string& adapter,
                                    const at::Tensor& value) {
  // In a node of its own: libtorch takes modules out of a tree, but no buffers.
  const at::Tensor buffer = add_tree(slot_name, adapter, "buffer", value, true);
  entries_.back().file_name = FileName::kSlot;
  return buffer;
}

at::Tensor AdapterSlots::add_tree(const std::string& slot_name, const std::string& adapter,
                                  const std::string& dotted_name, const at::Tensor& value,
                                  bool is_buffer) {
  at::Tensor leaf = value.detach();
  if (!is_buffer && (leaf.is_floating_point() || leaf.is_complex())) leaf.requires_grad_(true);
  hang(slot_name, adapter, dotted_name, leaf, is_buffer);
  return leaf;
}

void AdapterSlots::add_shared(const std::string& slot_name, const std::string& adapter,
                              const std::string& dotted_name, const at::Tensor& leaf) {
  hang(slot_name, adapter, dotted_name, leaf, false);
}

void AdapterSlots::hang(const std::string& slot_name, const std::string& adapter,
                        const std::string& dotted_name, const at::Tensor& leaf, bool is_buffer) {
  std::shared_ptr<torch::nn::Module> node = slot(slot_name);
  std::string path = adapter + "." + dotted_name;
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.')) {
    const std::string part = path.substr(0, dot);
    path = path.substr(dot + 1);
    const auto children = node->named_children();
    std::shared_ptr<torch::nn::Module> child;
    if (const auto* found = children.find(part)) {
      child = *found;
    } else {
      child = node->register_module(part, std::make_shared<SlotModule>(part));
      child->train(node->is_training());
    }
    node = child;
  }
  std::dynamic_pointer_cast<SlotModule>(node)->put(path, leaf, is_buffer);
  mark_as_adapter_parameter(leaf);
  entries_.push_back({slot_name, adapter, dotted_name, leaf, is_buffer, FileName::kFull});
}

at::Tensor AdapterSlots::replace(const std::string& slot_name, const std::string& adapter,
                                 const std::string& name, const at::Tensor& value) {
  const auto same = [&](const Entry& entry) {
    return entry.slot == slot_name && entry.adapter == adapter && entry.name == name;
  };
  std::erase_if(entries_, same);
  const auto node = slot(slot_name);
  if (name.empty()) {
    node->erase_parameter(adapter);
  } else {
    std::dynamic_pointer_cast<SlotModule>(node->named_children()[adapter])->erase_parameter(name);
  }
  return add(slot_name, adapter, name, value);
}

void AdapterSlots::remove(const std::string& adapter) {
  for (const auto& [name, module] : slots_) {
    module->erase_parameter(adapter);
    const auto children = module->named_children();
    if (children.contains(adapter)) module->unregister_module(adapter);
  }
  std::erase_if(entries_, [&](const Entry& entry) { return entry.adapter == adapter; });
  const auto unused = [&](const auto& slot) {
    return std::none_of(entries_.begin(), entries_.end(),
                        [&](const Entry& entry) { return entry.slot == slot.first; });
  };
  const auto home = home_.lock();
  for (const auto& slot : slots_) {
    if (home && unused(slot)) home->unregister_module(slot.first);
  }
  std::erase_if(slots_, unused);
}

void AdapterSlots::detach() {
  auto node = home_.lock();
  if (!node) return;
  for (const auto& [name, module] : slots_) {
    if (node->named_children().contains(name)) node->unregister_module(name);
  }
  home_.reset();
  // Nodes of the path that nothing hangs in any more leave the tree, the innermost first.
  for (auto parent = way_.rbegin(); parent != way_.rend(); ++parent) {
    const auto owner = parent->lock();
    if (!owner || !node->named_children().is_empty()) break;
    owner->unregister_module(node->name());
    node = owner;
  }
  way_.clear();
}

// The node of the path below `owner`: one that is there already, or a new one.
std::shared_ptr<torch::nn::Module> AdapterSlots::step_into(
    const std::shared_ptr<torch::nn::Module>& owner, const std::string& part) {
  const auto children = owner->named_children();
  if (const auto* found = children.find(part)) {
    if (std::dynamic_pointer_cast<SlotModule>(*found)) return *found;
    throw_taken(*owner, part);
  }
  auto node = std::make_shared<SlotModule>(part);
  node->train(owner->is_training());
  return owner->register_module(part, node);
}

void AdapterSlots::attach(const std::shared_ptr<torch::nn::Module>& owner) {
  detach();
  if (!owner) return;
  auto node = owner;
  const auto parts = path_.empty() ? std::vector<std::string>{} : split(path_, '.');
  for (const std::string& part : parts) {
    const auto next = step_into(node, part);
    way_.push_back(node);
    node = next;
  }
  home_ = node;
  try {
    check_free(*node);
  } catch (...) {
    home_.reset();
    way_.clear();
    throw;
  }
  for (const auto& [name, module] : slots_) {
    module->train(node->is_training());
    node->register_module(name, module);
  }
}

void AdapterSlots::check_free(const torch::nn::Module& home) const {
  for (const auto& [name, module] : slots_) {
    const bool taken = home.named_children().contains(name) ||
                       home.named_parameters(false).contains(name) ||
                       home.named_buffers(false).contains(name);
    if (taken) throw_taken(home, name);
  }
}

std::vector<SlotTensor> AdapterSlots::tensors(const std::string& adapter) const {
  std::vector<SlotTensor> found;
  for (const Entry& entry : entries_) {
    if (entry.adapter != adapter) continue;
    const std::string tail = entry.name.empty() ? "" : "." + entry.name;
    const std::string path = path_.empty() ? "" : path_ + ".";
    const std::string file_tail = entry.file_name == FileName::kSlot ? "" : tail;
    found.push_back({path + entry.slot + "." + adapter + tail, path + entry.slot + file_tail,
                     entry.tensor, entry.is_buffer});
  }
  return found;
}

void AdapterSlots::each_parameter(
    const std::function<void(const std::string&, const at::Tensor&)>& visit) const {
  for (const Entry& entry : entries_) {
    if (!entry.is_buffer) visit(entry.adapter, entry.tensor);
  }
}

bool AdapterSlots::requires_grad(const std::string& adapter) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.adapter == adapter && entry.tensor.requires_grad();
  });
}

void AdapterSlots::freeze(const std::string& slot, const std::string& adapter) {
  for (Entry& entry : entries_) {
    if (entry.slot != slot || entry.adapter != adapter) continue;
    entry.frozen = true;
    entry.tensor.requires_grad_(false);
  }
}

void AdapterSlots::Entry::set_requires_grad(bool requires_grad) const {
  if (is_buffer || frozen || tensor.requires_grad() == requires_grad) return;
  if (tensor.is_floating_point() || tensor.is_complex()) tensor.requires_grad_(requires_grad);
}

void AdapterSlots::set_requires_grad(const std::string& adapter, bool requires_grad) {
  for (const Entry& entry : entries_) {
    if (entry.adapter == adapter) entry.set_requires_grad(requires_grad);
  }
}

// The parameters of many adapters lie all over memory: the processor is asked for all of them
// before the first is looked at, so that it fetches them side by side.
void AdapterSlots::let_learn(const std::vector<std::string>& adapters) {
  for (const Entry& entry : entries_) __builtin_prefetch(entry.tensor.unsafeGetTensorImpl());
  for (const Entry& entry : entries_) {
    __builtin_prefetch(entry.tensor.unsafeGetTensorImpl()->autograd_meta());
  }
  for (const Entry& entry : entries_) {
    entry.set_requires_grad(std::find(adapters.begin(), adapters.end(), entry.adapter) !=
                            adapters.end());
  }
}

bool AdapterSlots::training() const {
  return !slots_.empty() && slots_.front().second->is_training();
}

void check_adapter_name(const std::string& adapter) {
  if (!adapter.empty() && adapter.find('.') == std::string::npos) return;
  throw ConfigError("adapter name '" + adapter +
                    "': it becomes a part of parameter names: expected a name without dots, got '" +
                    adapter + "'. Choose another name.");
}

}  // namespace peft
