// Random sequences of what one can do with adapters: the base stays as it was, and the model
// computes what a plain model with the sum of the active adapters does.

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>

#include "peft/adapter/tag.h"
#include "tests/front/parts.h"
#include "tests/front/support.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the tests of several adapters share

/// What an adapter of the test adds to fc1 and fc2.
struct Changes {
  at::Tensor fc1, fc2;
};

/// A model beside the plain truth about it.
class Walk {
 public:
  explicit Walk(uint64_t seed) : random_(seed), folder_("walk_" + std::to_string(seed)) {
    torch::manual_seed(seed);
    net_ = Net();
    for (const auto& item : net_->named_parameters()) base_[item.key()] = item.value().clone();
    const std::string first = new_name();
    model_.emplace(net_, config(), PeftModelOptions{.adapter_name = first});
    randomise(first);
    active_ = {first};
    x_ = torch::randn({3, 6});
  }

  void step() {
    switch (random_() % 8) {
      case 0:
        return add();
      case 1:
        return load();
      case 2:
        return set();
      case 3:
        return disable();
      case 4:
        return merge();
      case 5:
        return unmerge();
      case 6:
        return save();
      default:
        return remove();
    }
  }

  void expect_truth(const std::string& where) {
    const at::NoGradGuard no_grad;
    expect_near((*model_)->forward(x_), truth(enabled_), where);
    if (!model_->tuner().merged()) expect_base(where);
  }

  void finish(const std::string& where) {
    if (model_->tuner().merged()) model_->unmerge_adapter();
    expect_base(where);
    model_->unload();
    EXPECT_EQ(net_->named_parameters().size(), 4u) << where;
    EXPECT_TRUE(at::equal(net_->forward(x_), truth(false))) << where;
  }

  const std::string& last() const { return last_; }

 private:
  LoraConfig config() {
    LoraConfig made{.r = 1 + static_cast<int64_t>(random_() % 3), .lora_alpha = 3};
    made.target_modules = random_() % 2 == 0 ? TargetModules{"fc1"} : TargetModules{"fc1", "fc2"};
    return made;
  }

  std::string new_name() { return "n" + std::to_string(made_++); }

  std::string any() {
    auto it = changes_.begin();
    std::advance(it, static_cast<int64_t>(random_() % changes_.size()));
    return it->first;
  }

  void randomise(const std::string& name) {
    const at::NoGradGuard no_grad;
    for (auto& [key, tensor] : model_->state_dict(name)) {
      at::Tensor(tensor).normal_(0.0, 0.5);
    }
    note(name);
  }

  // The change of an adapter, from its file's tensors alone.
  void note(const std::string& name) {
    const StateDict state = model_->state_dict(name);
    const auto& lora = model_->peft_config(name).as<LoraConfig>();
    const auto product = [&](const std::string& layer) -> at::Tensor {
      const at::Tensor* a = state.find("base_model.model." + layer + ".lora_A.weight");
      const at::Tensor* b = state.find("base_model.model." + layer + ".lora_B.weight");
      if (a == nullptr) return at::zeros_like(base_.at(layer + ".weight"));
      return at::mm(*b, *a) * (static_cast<double>(lora.lora_alpha) / static_cast<double>(lora.r));
    };
    changes_[name] = {.fc1 = product("fc1"), .fc2 = product("fc2")};
  }

  at::Tensor truth(bool with_adapters) const {
    at::Tensor fc1 = base_.at("fc1.weight"), fc2 = base_.at("fc2.weight");
    const auto& names = merged_.empty() ? active_ : merged_;
    for (const std::string& name : with_adapters ? names : std::vector<std::string>{}) {
      fc1 = fc1 + changes_.at(name).fc1;
      fc2 = fc2 + changes_.at(name).fc2;
    }
    return at::linear(torch::relu(at::linear(x_, fc1, base_.at("fc1.bias"))), fc2,
                      base_.at("fc2.bias"));
  }

  void expect_base(const std::string& where) const {
    for (const char* layer : {"fc1", "fc2"}) {
      const auto& weight = std::string(layer) == "fc1" ? net_->fc1->weight : net_->fc2->weight;
      EXPECT_TRUE(at::equal(base(weight).detach(), base_.at(std::string(layer) + ".weight")))
          << where << ": " << layer;
    }
  }

  void add() {
    last_ = "add";
    if (changes_.size() > 5) return;
    const std::string name = new_name();
    const bool was_empty = changes_.empty();
    model_->add_adapter(name, config());
    randomise(name);
    if (was_empty) set_to({name});
  }

  void load() {
    last_ = "load";
    if (saved_.empty() || changes_.size() > 5) return;
    auto it = saved_.begin();
    std::advance(it, static_cast<int64_t>(random_() % saved_.size()));
    const std::string name = new_name();
    const bool was_empty = changes_.empty();
    model_->load_adapter(folder_.path() / it->first / it->first, name);
    note(name);
    EXPECT_TRUE(at::equal(changes_.at(name).fc1, it->second.fc1));
    if (was_empty) set_to({name});
  }

  void set_to(const std::vector<std::string>& names) {
    model_->set_adapter(names);
    active_ = names;
    merged_.clear();  // set_adapter unmerges
  }

  void set() {
    last_ = "set";
    if (changes_.empty()) return;
    std::vector<std::string> names = {any()};
    const std::string second = any();
    if (random_() % 2 == 0 && second != names[0]) names.push_back(second);
    set_to(names);
  }

  void disable() {
    last_ = "disable";
    if (changes_.empty()) return;
    const auto off = model_->disable_adapter();
    merged_.clear();  // switching off unmerges
    enabled_ = false;
    expect_truth("disabled");
    enabled_ = true;
  }

  void merge() {
    last_ = "merge";
    if (active_.empty() || !merged_.empty()) return;
    model_->merge_adapter();
    merged_ = active_;
  }

  void unmerge() {
    last_ = "unmerge";
    if (merged_.empty()) return;
    model_->unmerge_adapter();
    merged_.clear();
  }

  void save() {
    last_ = "save";
    if (changes_.empty()) return;
    const std::string name = any();
    model_->save_pretrained(folder_.path() / name, {.selected_adapters = {name}});
    saved_[name] = changes_.at(name);
  }

  void remove() {
    last_ = "delete";
    if (changes_.empty() || !merged_.empty()) return;
    const std::string name = any();
    model_->delete_adapter(name);
    changes_.erase(name);
    active_ = model_->active_adapters();
    for (const std::string& left : active_) EXPECT_TRUE(changes_.contains(left));
    EXPECT_EQ(active_.empty(), changes_.empty());
  }

  std::mt19937_64 random_;
  TemporaryFolder folder_;
  Net net_{nullptr};
  std::optional<PeftModelFor<Net>> model_;
  std::map<std::string, at::Tensor> base_;
  std::map<std::string, Changes> changes_, saved_;
  std::vector<std::string> active_, merged_;
  bool enabled_ = true;
  at::Tensor x_;
  int made_ = 0;
  std::string last_;
};

TEST(Sequences, AThousandLeaveTheBaseAndComputeTheSum) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Walk walk(seed);
    for (int step = 0; step < 12; ++step) {
      walk.step();
      walk.expect_truth("seed " + std::to_string(seed) + ", step " + std::to_string(step) + ", " +
                        walk.last());
      if (testing::Test::HasFailure()) return;
    }
    walk.finish("seed " + std::to_string(seed));
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace peft
