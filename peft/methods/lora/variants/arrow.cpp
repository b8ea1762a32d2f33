#include "peft/methods/lora/variants/arrow.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <limits>

#include "peft/base/error.h"
#include "peft/base/json_fields.h"
#include "peft/base/text.h"
#include "peft/methods/lora/products.h"

namespace peft::lora {
namespace {

using at::Tensor;

constexpr int kPowerIterations = 15;
constexpr double kTiny = 1e-8;  // added to a length before it divides

// "gks_0", "gks_1", ...: general adapters, whoever put them there.
bool is_numbered_general(const std::string& name) {
  return name.starts_with("gks_") && whole_number<uint64_t>(name.substr(4)).has_value();
}

std::vector<Tensor> first_factors(const std::vector<const LoraAdapter*>& adapters) {
  std::vector<Tensor> factors;
  for (const LoraAdapter* adapter : adapters) factors.push_back(adapter->a);
  return factors;
}

bool contains_tensor(const std::vector<Tensor>& tensors, const Tensor& tensor) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const Tensor& each) { return each.is_same(tensor); });
}

bool are_same(const std::vector<Tensor>& some, const std::vector<Tensor>& others) {
  return some.size() == others.size() &&
         std::equal(some.begin(), some.end(), others.begin(),
                    [](const Tensor& a, const Tensor& b) { return a.is_same(b); });
}

// The numbers of Python's torch.randn, on the device where the factor lies.
Tensor random_direction(const Tensor& a, std::optional<int64_t> seed) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(a.device());
  if (!seed) return at::randn({a.size(1)}, options);
  at::Generator generator = at::globalContext().defaultGenerator(a.device()).clone();
  generator.set_current_seed(static_cast<uint64_t>(*seed));
  return at::randn({a.size(1)}, generator, options);
}

Tensor of_length_one(const Tensor& direction) {
  return direction / (at::linalg_vector_norm(direction) + kTiny);
}

// The sum over the adapters of share times B A x, the factors side by side.
//   tokens [T, I], shares [T, E] -> [T, O]
Tensor shared_product(const std::vector<const LoraAdapter*>& adapters, const Tensor& tokens,
                      const Tensor& shares) {
  std::vector<Tensor> a, b;
  std::vector<int64_t> ranks;
  for (const LoraAdapter* adapter : adapters) {
    a.push_back(adapter->a.to(tokens.scalar_type()));
    b.push_back(adapter->b.to(tokens.scalar_type()));
    ranks.push_back(adapter->a.size(0));
  }
  const Tensor repeats = at::tensor(ranks, at::kLong).to(tokens.device());
  const Tensor low = at::linear(tokens, at::cat(a, 0));  // [T, all ranks]
  return at::linear(low * at::repeat_interleave(shares, repeats, 1), at::cat(b, 1));
}

void check_same_rank(const std::string& layer, const LoraAdapter& adapter, const Tensor& a) {
  if (adapter.a.size(0) == a.size(0)) return;
  throw ConfigError(layer + ": arrow_config: use_gks: rank mismatch: expected rank " +
                    std::to_string(a.size(0)) + " as the first general adapter has, got " +
                    std::to_string(adapter.a.size(0)) + ". Use adapters of one rank.");
}

Tensor scalings_of(const std::vector<const LoraAdapter*>& adapters, const Tensor& like) {
  std::vector<double> scalings;
  for (const LoraAdapter* adapter : adapters) scalings.push_back(adapter->scaling);
  return at::tensor(scalings, at::kDouble).to(like.options().requires_grad(false));
}

}  // namespace

Tensor arrow_prototype(const Tensor& a, const Tensor& b, std::optional<int64_t> seed) {
  const at::NoGradGuard no_grad;
  const Tensor wide = a.to(at::kFloat), out = b.to(at::kFloat);
  const Tensor gram = at::mm(out.t(), out);  // [R, R]
  Tensor direction = of_length_one(random_direction(wide, seed));
  for (int i = 0; i < kPowerIterations; ++i) {
    direction = of_length_one(at::mv(wide.t(), at::mv(gram, at::mv(wide, direction))));
  }
  return direction;
}

ArrowConfig ArrowConfig::parse(const Json& object) {
  const FieldPath path{"LoraConfig", "arrow_config"};
  ArrowConfig config;
  read_value(object, config, path);
  const auto refuse = [&](const char* key, const char* expected) {
    throw_wrong_type(object.at(key), expected, path.child(key));
  };
  if (config.top_k <= 0) refuse("top_k", "a positive integer");
  if (!(config.router_temperature > 0)) refuse("router_temperature", "a positive number");
  return config;
}

Json ArrowConfig::to_json() const { return peft::to_json(*this); }

ArrowVariant::ArrowVariant(const LoraConfig& config)
    : config_(ArrowConfig::parse(config.arrow_config)) {}

void ArrowVariant::prepare(LoraAdapter&, const VariantSetup& setup) {
  name_ = setup.site.full_name();
  beside_ = &setup.beside;
  task_adapters();
}

bool ArrowVariant::is_task(const std::string& name, const LoraAdapter& adapter) const {
  const auto& general = config_.gks_adapter_names;
  if (general && std::find(general->begin(), general->end(), name) != general->end()) return false;
  if (is_numbered_general(name)) return false;
  return dynamic_cast<const ArrowVariant*>(adapter.variant.get()) == nullptr;
}

void ArrowVariant::check_plain(const std::string& name, const LoraAdapter& adapter) const {
  if (!adapter.variant && !adapter.bias.defined()) return;
  throw ConfigError(name_ + ": arrow_config: adapter " + quote(name) +
                    ": expected plain LoRA, since A and B are all that Arrow uses, got " +
                    (adapter.variant ? "a variant" : "lora_bias") + ". Leave this adapter out.");
}

std::vector<const LoraAdapter*> ArrowVariant::task_adapters() const {
  std::vector<const LoraAdapter*> found;
  for (const auto& [name, adapter] : *beside_) {
    if (!is_task(name, adapter)) continue;
    check_plain(name, adapter);
    found.push_back(&adapter);
  }
  return found;
}

// All of one rank.
std::vector<const LoraAdapter*> ArrowVariant::general_adapters() const {
  std::vector<const LoraAdapter*> found;
  for (const std::string& name : config_.gks_adapter_names.value_or(std::vector<std::string>())) {
    const auto place = beside_->find(name);
    if (place == beside_->end()) {
      throw ConfigError(name_ + ": arrow_config: use_gks: expected the general adapter " +
                        quote(name) +
                        " on this layer, got none. Load it, or make the model anew with "
                        "create_arrow_model.");
    }
    check_plain(name, place->second);
    found.push_back(&place->second);
    check_same_rank(name_, place->second, found.front()->a);
  }
  return found;
}

// For good, and once for each task adapter.
void ArrowVariant::subtract_general(const std::vector<const LoraAdapter*>& adapters) const {
  std::vector<const LoraAdapter*> fresh;
  for (const LoraAdapter* adapter : adapters) {
    if (!contains_tensor(subtracted_from_, adapter->a)) fresh.push_back(adapter);
  }
  if (fresh.empty()) return;
  std::vector<Tensor> a, b;
  for (const LoraAdapter* general : general_adapters()) {
    a.push_back(general->a);
    b.push_back(general->b);
  }
  if (a.empty()) return;
  for (const LoraAdapter* adapter : fresh) check_same_rank(name_, *adapter, a.front());
  const Tensor mean_a = at::stack(a).mean(0), mean_b = at::stack(b).mean(0);
  for (const LoraAdapter* adapter : fresh) {
    adapter->a.detach().sub_(mean_a);
    adapter->b.detach().sub_(mean_b);
  }
  subtracted_from_ = first_factors(adapters);
}

// [E, I]; made anew where the layer has other task adapters than at the last call.
Tensor ArrowVariant::prototypes_of(const std::vector<const LoraAdapter*>& adapters) const {
  const std::lock_guard lock(mutex_);
  const c10::InferenceMode normal(false);  // what is kept may be differentiated through later
  const at::NoGradGuard no_grad;
  if (config_.use_gks) subtract_general(adapters);
  std::vector<Tensor> factors = first_factors(adapters);
  if (prototypes_.defined() && are_same(factors, prototypes_for_)) return prototypes_;
  std::vector<Tensor> rows;
  for (const LoraAdapter* adapter : adapters) {
    rows.push_back(arrow_prototype(adapter->a, adapter->b, config_.rng_seed));
  }
  prototypes_ = at::stack(rows);
  prototypes_for_ = std::move(factors);
  return prototypes_;
}

// What each task adapter contributes to each token: zero but for top_k of them.
//   tokens [T, I], prototypes [E, I] -> [T, E]
Tensor ArrowVariant::shares(const Tensor& tokens, const Tensor& prototypes) const {
  const Tensor likeness = at::matmul(tokens, prototypes.to(tokens.options()).t()).abs();
  const auto [most, places] = at::topk(likeness, config_.top_k, 1);
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const Tensor none = at::full_like(likeness.detach(), kNever);
  return at::softmax(none.scatter(1, places, most) / config_.router_temperature, 1);
}

Tensor ArrowVariant::linear(const LoraAdapter&, const LinearCall& call, const Tensor& y) const {
  const std::vector<const LoraAdapter*> adapters = task_adapters();
  if (adapters.empty()) return y;
  const auto count = static_cast<int64_t>(adapters.size());
  if (config_.top_k > count) {
    throw ConfigError(name_ + ": arrow_config: top_k: expected at most " + std::to_string(count) +
                      ", the number of task adapters on this layer, got " +
                      std::to_string(config_.top_k) + ". Lower top_k, or load more of them.");
  }
  const Tensor prototypes = prototypes_of(adapters);
  // As in Python the adapters' own dtype: rounding could send a token to another adapter.
  const Tensor tokens = call.x.reshape({-1, call.x.size(-1)}).to(adapters.front()->a.scalar_type());
  const Tensor shares = this->shares(tokens, prototypes) * scalings_of(adapters, tokens);
  const Tensor update = dropped(shared_product(adapters, tokens, shares), call.dropout);
  return y + update.reshape(y.sizes()).to(y.scalar_type());
}

Tensor ArrowVariant::delta(const LoraAdapter&, const Tensor&, const Tensor&) const {
  throw UnsupportedError(name_ + ": " + input_dependence() +
                         ": expected a call of the layer, got a reader of its weight. Activate "
                         "another adapter, or delete the router.");
}

std::string ArrowVariant::input_dependence() const {
  return "Arrow routes each token to adapters of its own";
}

std::string ArrowVariant::merge_obstacle() const {
  return "Cannot merge an active Arrow router adapter. Remove it first";
}

}  // namespace peft::lora
