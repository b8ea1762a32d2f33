#include "peft/peft_model.h"

#include <fmt/format.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>

#include "peft/adapter/file_prefix.h"
#include "peft/adapter/tag.h"
#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/base_model.h"
#include "peft/methods/registry.h"
#include "peft/models/common/language_model.h"

namespace peft {
namespace {

// What prompt learning adds to a model has no prefix.
constexpr const char* kPromptEncoder = "prompt_encoder.";

bool lies_in_prefix(const std::string& adapter, const Method& method) {
  return !adapter.empty() && method.key_prefix.find(adapter) != std::string_view::npos;
}

std::string bad_name(const std::string& adapter, const Method& method) {
  return "Adapter name '" + adapter + "' should not be contained in the prefix '" +
         std::string(method.key_prefix) + "'. ";
}

void warn_of_bad_name(const std::string& adapter, const Method& method) {
  if (!lies_in_prefix(adapter, method)) return;
  warn(bad_name(adapter, method) +
       "This may lead to reinitialization of the adapter weights during loading.");
}

void warn_of_differences(const LoadResult& result, const std::string& adapter,
                         const Method& method) {
  if (result.complete()) return;
  const std::string reason =
      lies_in_prefix(adapter, method)
          ? bad_name(adapter, method) + "This could be the reason for missing adapter keys. "
          : "";
  warn(reason +
       "Found missing adapter keys or keys without a place while loading the checkpoint: " +
       result.report() + ".");
}

// What a config of a file does not say: what this run wants of the adapter.
void set_run(PeftConfig& config, bool is_trainable, bool ephemeral_gpu_offload) {
  if (is_trainable && find_method(config.peft_type()).is_prompt_learning()) {
    throw ConfigError(
        "is_trainable: cannot set a prompt learning adapter to trainable when loading a pretrained "
        "adapter: expected false, got true. Train a new adapter, or go on from a checkpoint of its "
        "training.");
  }
  const SharedFields fields = config.shared();
  if (fields.inference_mode) *fields.inference_mode = !is_trainable;
  if (fields.runtime_config) {
    fields.runtime_config->ephemeral_gpu_offload = ephemeral_gpu_offload;
  } else if (ephemeral_gpu_offload) {
    warn("Ephemeral GPU offloading is not supported for this model. Ignoring.");
  }
}

bool carries_adapters(const ModelTree& tree) {
  const auto modules = tree.modules();
  return std::any_of(modules.begin(), modules.end(), [](const ModuleEntry& module) {
    const auto own = own_parameters(module);
    return std::any_of(own.begin(), own.end(),
                       [](const auto& entry) { return is_adapted(entry.second); });
  });
}

void settle_revision(PeftConfig& config, const std::optional<std::string>& revision) {
  std::optional<std::string>* named = config.shared().revision;
  if (!revision || named == nullptr) return;
  if (*named && **named != *revision) {
    warn("peft config has already set base model revision to " + **named +
         ", overwriting with revision " + *revision + ".");
  }
  *named = revision;
}

// Copies of modules take turns: which one is read has to be said.
void check_choice(const Tuner& tuner, const std::vector<std::string>& adapters) {
  if (!adapters.empty() || tuner.saved_modules().empty()) return;
  throw ConfigError("set_adapter: modules_to_save of '" +
                    tuner.saved_modules().front()->module().name +
                    "': expected at least one adapter to set, got none. Use disable_adapter() to "
                    "run the base.");
}

void name_base_model(const ModelTree& tree, PeftConfig& config) {
  std::optional<std::string>* named = config.shared().base_model_name_or_path;
  if (named == nullptr) return;
  const auto* model = dynamic_cast<const PretrainedModelImpl*>(tree.native_root().get());
  std::optional<std::string> name;
  if (model != nullptr && !model->name_or_path().empty()) name = model->name_or_path();
  if (*named && *named != name) {
    warn("The PEFT config's `base_model_name_or_path` was renamed from '" + **named + "' to '" +
         name.value_or("None") +
         "'. Please ensure that the correct base model is loaded when loading this checkpoint.");
  }
  *named = name;
}

// Whose adapter a new one would be. Whether the tuner takes it is for the tuner to say.
const Method& method_for(const Tuner& tuner, const PeftConfig& config) {
  return tuner.is_mixed() ? find_method(config.peft_type()) : tuner.method();
}

}  // namespace

void prepare_new_config(const ModelTree& tree, PeftConfig& config,
                        const PeftModelOptions& options) {
  name_base_model(tree, config);
  const Method& method = find_method(config.peft_type());
  if (method.warn_of_new) method.warn_of_new(config, options.low_cpu_mem_usage);
}

DisabledAdapters::DisabledAdapters(std::shared_ptr<Tuner> tuner)
    : tuner_(std::move(tuner)), was_enabled_(tuner_->enabled()) {
  if (is_irregularly_enabled(*tuner_)) {
    warn(
        "The model contains some adapter layers that are enabled and others that are disabled. "
        "This is most likely unintentional. After exiting the disable_adapter context, all "
        "adapters "
        "will be enabled.");
  }
  tuner_->set_enabled(false);
}

DisabledAdapters::~DisabledAdapters() {
  if (tuner_ && was_enabled_) tuner_->set_enabled(true);
}

CallScope::CallScope(const Tuner& tuner, bool puts_prompt) {
  tuner.verify();
  if (!puts_prompt && tuner.active_prompt() != nullptr) {
    throw UnsupportedError(
        "forward: the model would run without the prompt of adapter '" +
        tuner.active_adapters().front() +
        "': expected a class that puts it before the tokens, as PeftModelForCausalLM, got "
        "PeftModelFor. Use that class, or disable_adapter() to run the base.");
  }
  if (!tuner.tree().is_script() || !at::GradMode::is_enabled()) return;
  if (!torch::jit::getGraphExecutorOptimize()) return;
  torch::jit::setGraphExecutorOptimize(false);
  restore_optimize_ = true;
}

CallScope::~CallScope() {
  if (restore_optimize_) torch::jit::setGraphExecutorOptimize(true);
}

void PeftModel::start(ModelTree tree, std::string_view peft_type) {
  peft_type_ = std::string(peft_type);
  const Method& method = find_method(peft_type);
  ModelFacts facts = prepare_base_model(tree);
  tuner_ = kind_.is_mixed
               ? std::make_shared<Tuner>(std::move(tree), std::move(facts), mixable_methods())
               : std::make_shared<Tuner>(std::move(tree), std::move(facts), method);
}

void PeftModel::add_heads(PeftConfig& config) const {
  auto* saved = config.shared().modules_to_save;
  if (saved == nullptr || kind_.heads.empty()) return;
  if (!*saved) *saved = std::vector<std::string>{};
  for (const std::string& head : kind_.heads) {
    if (std::find((*saved)->begin(), (*saved)->end(), head) == (*saved)->end()) {
      (*saved)->push_back(head);
    }
  }
}

PeftModel::PeftModel(ModelTree tree, PeftConfig config, const PeftModelOptions& options,
                     PeftModelKind kind)
    : kind_(std::move(kind)) {
  if (carries_adapters(tree)) {
    warn(
        "You are trying to modify a model with PEFT for a second time. If you want to reload the "
        "model with a different config, make sure to call `unload()` before.");
  }
  start(std::move(tree), config.peft_type());
  add_heads(config);
  settle_revision(config, options.revision);
  warn_of_bad_name(options.adapter_name, find_method(config.peft_type()));
  try {
    tuner_->inject(options.adapter_name, std::move(config),
                   {.autocast_adapter_dtype = options.autocast_adapter_dtype,
                    .low_cpu_mem_usage = options.low_cpu_mem_usage});
    tuner_->keep_injection();
  } catch (...) {
    release_base_model(tuner_->tree());
    throw;
  }
}

PeftModel::PeftModel(ModelTree tree, const std::filesystem::path& name_or_folder,
                     const FromPretrainedOptions& options, PeftModelKind kind)
    : kind_(std::move(kind)) {
  const std::filesystem::path folder = adapter_place(name_or_folder, options.source);
  PeftConfig config =
      options.config ? *options.config : read_adapter_config(folder, options.source);
  add_heads(config);
  set_run(config, options.is_trainable, options.ephemeral_gpu_offload);
  const StateDict tensors = read_adapter_weights(folder, options.source);
  if (carries_adapters(tree)) {
    warn(
        "Already found adapters in the model. This will lead to having multiple adapters in the "
        "model. Make sure to know what you are doing!");
  }
  start(std::move(tree), config.peft_type());
  try {
    tuner_->inject(options.adapter_name, std::move(config),
                   {.autocast_adapter_dtype = options.autocast_adapter_dtype,
                    .low_cpu_mem_usage = options.low_cpu_mem_usage});
    const LoadResult result = tuner_->load_state(
        options.adapter_name, tensors,
        {.strict = options.strict, .ignore_mismatched_sizes = options.ignore_mismatched_sizes});
    warn_of_differences(result, options.adapter_name, find_method(peft_type_));
    tuner_->keep_injection();
  } catch (...) {
    tuner_->take_back_injection();
    release_base_model(tuner_->tree());
    throw;
  }
  if (!options.is_trainable) eval();
}

void PeftModel::add_adapter(const std::string& adapter, PeftConfig config,
                            bool autocast_adapter_dtype, bool low_cpu_mem_usage) {
  warn_of_bad_name(adapter, method_for(*tuner_, config));
  add_heads(config);
  tuner_->inject(
      adapter, std::move(config),
      {.autocast_adapter_dtype = autocast_adapter_dtype, .low_cpu_mem_usage = low_cpu_mem_usage});
  tuner_->keep_injection();
}

LoadResult PeftModel::load_adapter(const std::filesystem::path& name_or_folder,
                                   const std::string& adapter, const LoadAdapterOptions& options) {
  const std::filesystem::path folder = adapter_place(name_or_folder, options.source);
  const bool is_new = !tuner_->has(adapter);
  std::optional<PeftConfig> config;
  if (is_new) config = read_adapter_config(folder, options.source);
  const StateDict tensors = read_adapter_weights(folder, options.source);
  if (is_new) {
    const Method& method = method_for(*tuner_, *config);
    add_heads(*config);
    set_run(*config, options.is_trainable, options.ephemeral_gpu_offload);
    warn_of_bad_name(adapter, method);
    if (method.warn_of_loaded) {
      method.warn_of_loaded(*config, tuner_->configs());
    }
    tuner_->inject(adapter, std::move(*config),
                   {.autocast_adapter_dtype = options.autocast_adapter_dtype,
                    .low_cpu_mem_usage = options.low_cpu_mem_usage});
  }
  LoadResult result;
  try {
    result = tuner_->load_state(
        adapter, tensors,
        {.strict = options.strict, .ignore_mismatched_sizes = options.ignore_mismatched_sizes});
    tuner_->keep_injection();
  } catch (...) {
    if (is_new) tuner_->take_back_injection();
    throw;
  }
  if (is_new && options.is_trainable) tuner_->set_requires_grad(adapter, true);
  warn_of_differences(result, adapter, find_method(tuner_->config(adapter).peft_type()));
  if (!options.is_trainable) eval();
  return result;
}

void PeftModel::set_adapter(const AdapterNames& adapters, bool inference_mode) {
  check_choice(*tuner_, adapters.list());
  tuner_->set_active(adapters.list(), inference_mode);
}

void PeftModel::set_requires_grad(const std::string& adapter, bool requires_grad) {
  tuner_->set_requires_grad(adapter, requires_grad);
}

void PeftModel::delete_adapter(const AdapterNames& adapters) { tuner_->remove(adapters.list()); }

void PeftModel::merge_adapter(const std::vector<std::string>& adapters, bool safe_merge,
                              const LayerProgress& progress) {
  tuner_->verify();
  tuner_->merge(adapters, {.safe = safe_merge, .progress = progress});
}

void PeftModel::save_pretrained(const std::filesystem::path& folder,
                                const SaveOptions& options) const {
  tuner_->verify();
  write_adapter_folder(*tuner_, folder,
                       {.adapters = options.selected_adapters,
                        .save_embedding_layers = options.save_embedding_layers,
                        .is_main_process = options.is_main_process,
                        .safe_serialization = options.safe_serialization,
                        .initial = options.path_initial_model_for_weight_conversion});
}

StateDict PeftModel::state_dict(const std::string& adapter, SaveEmbeddingLayers embeddings) const {
  tuner_->verify();
  return adapter_state(*tuner_, adapter, embeddings);
}

LoadResult PeftModel::load_state_dict(const StateDict& tensors, const std::string& adapter,
                                      const LoadStateOptions& options) {
  return tuner_->load_state(adapter, tensors, options);
}

void PeftModel::print_trainable_parameters(std::ostream& out) const {
  const ParameterCount count = get_nb_trainable_parameters();
  const double percent = count.all == 0 ? 0.0
                                        : 100.0 * static_cast<double>(count.trainable) /
                                              static_cast<double>(count.all);
  out << fmt::format("trainable params: {} || all params: {} || trainable%: {:.4f}\n",
                     with_thousands(count.trainable), with_thousands(count.all), percent);
}

NamedTensors PeftModel::named_parameters() const {
  NamedTensors named = tuner_->tree().parameters();
  const std::string prefix = tuner_->file_prefix();
  const bool prompts = tuner_->is_prompt_learning();
  for (auto& [name, tensor] : named) {
    if (!prompts || !name.starts_with(kPromptEncoder)) name = prefix + name;
  }
  return named;
}

std::vector<at::Tensor> PeftModel::parameters() const {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : tuner_->tree().parameters()) tensors.push_back(tensor);
  return tensors;
}

NamedTensors PeftModel::trainable_parameters() const {
  NamedTensors named = named_parameters();
  std::erase_if(named, [](const auto& entry) { return !entry.second.requires_grad(); });
  return named;
}

void PeftModel::train(bool on) { tuner_->tree().train(on); }

void PeftModel::unload_adapters(bool merge, bool safe_merge,
                                const std::vector<std::string>& adapters,
                                const LayerProgress& progress) {
  tuner_->verify();
  tuner_->check_untying();
  if (merge) {
    tuner_->merge(adapters, {.safe = safe_merge, .can_unmerge = false, .progress = progress});
  }
  tuner_->unload();
  release_base_model(tuner_->tree());
}

}  // namespace peft
