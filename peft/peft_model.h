#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <filesystem>
#include <initializer_list>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/mixed_batch.h"
#include "peft/adapter/tuner.h"
#include "peft/adapter_source.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/lora/weighted_adapter.h"
#include "peft/prompt_learning.h"
#include "peft/status.h"

namespace torch::jit {
struct Module;
}

namespace peft {

struct PeftModelOptions {
  std::string adapter_name = "default";
  bool autocast_adapter_dtype = true;  // adapters of a half-precision base are float32
  std::optional<std::string> revision = std::nullopt;  // of the base model, for the config
  /// The adapter has no values until they are loaded or, for EVA, made: the model cannot run
  /// before.
  bool low_cpu_mem_usage = false;
};

struct FromPretrainedOptions {
  std::string adapter_name = "default";
  bool is_trainable = false;                        // false: frozen and in evaluation mode
  std::optional<PeftConfig> config = std::nullopt;  // instead of the folder's adapter_config.json
  bool autocast_adapter_dtype = true;
  bool low_cpu_mem_usage = false;  // the adapter takes the file's memory, without a copy of its own
  bool ephemeral_gpu_offload = false;    // see LoraRuntimeConfig
  AdapterSource source = {};             // where in the folder, and how its tensors are read
  bool strict = true;                    // false: an adapter that fits in part only is a warning
  bool ignore_mismatched_sizes = false;  // tensors of other shapes are left out, with a warning
};

struct LoadAdapterOptions {
  bool is_trainable = false;
  bool autocast_adapter_dtype = true;
  bool low_cpu_mem_usage = false;
  bool ephemeral_gpu_offload = false;
  AdapterSource source = {};
  bool strict = true;
  bool ignore_mismatched_sizes = false;
};

struct SaveOptions {
  /// Empty: all adapters.
  std::vector<std::string> selected_adapters = {};
  /// Folder with the adapter as it was before its training: what is written is then a plain LoRA
  /// adapter of twice the rank for the base as it was before PiSSA, OLoRA, CorDA or LoRA-GA.
  std::optional<std::filesystem::path> path_initial_model_for_weight_conversion = std::nullopt;
  /// False: `adapter_model.bin`, as torch.save writes it, in place of safetensors.
  bool safe_serialization = true;
  SaveEmbeddingLayers save_embedding_layers = SaveEmbeddingLayers::kAuto;
  /// False: only the folders are made, for the processes beside the one that writes.
  bool is_main_process = true;
};

/// One adapter or several: "default", {"first", "second"}.
class AdapterNames {
 public:
  AdapterNames(const char* name) : names_{name} {}
  AdapterNames(std::string name) : names_{std::move(name)} {}
  AdapterNames(std::initializer_list<std::string> names) : names_(names) {}
  AdapterNames(std::vector<std::string> names) : names_(std::move(names)) {}
  const std::vector<std::string>& list() const { return names_; }

 private:
  std::vector<std::string> names_;
};

class PeftModel;
template <typename Holder, typename Base = PeftModel>
class PeftModelFor;

/// While it lives the model computes as its base does. Scopes may be nested in any order of models;
/// within one model they end in reverse order.
class [[nodiscard]] DisabledAdapters {
 public:
  explicit DisabledAdapters(std::shared_ptr<Tuner> tuner);
  DisabledAdapters(DisabledAdapters&&) noexcept = default;
  DisabledAdapters& operator=(DisabledAdapters&&) = delete;
  ~DisabledAdapters();

 private:
  std::shared_ptr<Tuner> tuner_;
  bool was_enabled_;
};

/// Looks after one call into the wrapped model: verifies that every adapter still rides on its
/// weight, and keeps TorchScript's optimising executor, which loses gradients, off while the call
/// lasts.
class CallScope {
 public:
  /// `puts_prompt`: the caller puts the prompt before the tokens itself.
  /// Throws: UnsupportedError where nobody would, and the model ran without its prompt.
  explicit CallScope(const Tuner& tuner, bool puts_prompt = false);
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;
  ~CallScope();

 private:
  bool restore_optimize_ = false;
};

/// What a class that builds on PeftModel makes of it.
struct PeftModelKind {
  bool is_mixed = false;  // adapters of all methods that mix may join, else of this one's alone
  std::vector<std::string> heads = {};  // trained and saved in full beside each adapter
};

/// A base model with named adapters: what all task classes share. The base is adapted in place:
/// whoever holds it sees the adapters too. Copies share one model.
///
/// Source: PeftModel in peft/peft_model.py.
class PeftModel {
 public:
  /// Puts the adapter of a folder on a model.
  /// Throws: NotFoundError, FormatError, ConfigError, MismatchError; the model is then as it was.
  template <typename Holder>
  static PeftModelFor<Holder> from_pretrained(Holder model, const std::filesystem::path& folder,
                                              const FromPretrainedOptions& options = {});

  /// Adapter names with their configs, in the order in which they were added.
  const Tuner::Configs& peft_config() const { return tuner_->configs(); }
  /// Throws: NotFoundError with the closest names.
  const PeftConfig& peft_config(const std::string& adapter) const {
    return tuner_->config(adapter);
  }
  const std::string& peft_type() const { return peft_type_; }
  const std::vector<std::string>& active_adapters() const { return tuner_->active_adapters(); }
  /// Throws: ConfigError where none or several are active.
  const std::string& active_adapter() const;
  const PeftConfig& active_peft_config() const { return peft_config(active_adapter()); }
  /// What the configs name, all together; nullopt: nothing.
  std::optional<std::set<std::string>> modules_to_save() const;
  /// True while adapters are on, or where none is active (as Python defines it).
  bool has_active_enabled_adapter() const { return tuner_->enabled() || active_adapters().empty(); }
  /// The type of the base's first floating parameter; nullopt: it has none.
  std::optional<at::ScalarType> base_model_torch_dtype() const;
  /// The parts of prompt learning: empty for methods that adapt weights.
  std::map<std::string, std::shared_ptr<torch::nn::Module>> prompt_encoder() const;
  /// The numbers of the virtual tokens, [N] each.
  std::map<std::string, at::Tensor> prompt_tokens() const;
  /// The child of the model that everything below the head is in; nullopt: the model itself.
  std::optional<std::string> transformer_backbone_name() const;
  /// The weight of the embeddings that prompts stand before, [V, D].
  at::Tensor word_embeddings() const;

  /// What a file keeps of a prompt.  -> [N, W] on the CPU
  /// Throws: NotFoundError, UnsupportedError where the adapter is no prompt.
  at::Tensor get_prompt_embedding_to_save(const std::string& adapter) const;
  /// What is put before the tokens of a batch: see peft::get_prompt.
  Prompt get_prompt(int64_t batch_size, const at::Tensor& task_ids = {},
                    std::optional<int64_t> max_cache_len = std::nullopt) const {
    return peft::get_prompt(*tuner_, batch_size, task_ids, max_cache_len);
  }

  // Members of the wrapped model by name: see peft/by_name.h.
  std::shared_ptr<torch::nn::Module> get_submodule(const std::string& name) const;
  at::Tensor get_parameter(const std::string& name) const;
  at::Tensor get_buffer(const std::string& name) const;
  /// The base model's config.json; an empty object for a model that has none.
  Json config() const;
  Json config(const std::string& key) const;

  /// Adds an adapter of the same method; it is not activated. With low_cpu_mem_usage it has no
  /// values until they are loaded, and the model cannot run with it before.
  /// Throws: ConfigError, NoMatchError, UnsupportedError; the model is then as it was.
  void add_adapter(const std::string& adapter, PeftConfig config,
                   bool autocast_adapter_dtype = true, bool low_cpu_mem_usage = false);

  /// Loads an adapter of a folder under a name; it is not activated. Where the name exists, only
  /// its weights are replaced. Unless trainable, the whole model goes to evaluation mode.
  /// Throws: NotFoundError, FormatError, ConfigError, MismatchError (also where only a part of the
  /// file or of the adapter has a counterpart, if `strict`); the model is then as it was.
  LoadResult load_adapter(const std::filesystem::path& folder, const std::string& adapter,
                          const LoadAdapterOptions& options = {});

  /// Activates one adapter, or several that are then added up in this order.
  /// Throws: NotFoundError; ConfigError for several, or none, where a module has copies of which
  /// one at a time is active (modules_to_save, trainable_token_indices).
  void set_adapter(const AdapterNames& adapters, bool inference_mode = false);
  void set_requires_grad(const std::string& adapter, bool requires_grad = true);

  /// Takes one adapter out, or several. Where the only active one goes, the first of the others
  /// becomes active.
  /// Throws: NotFoundError; ConfigError where one is merged; then all of them are still there.
  void delete_adapter(const AdapterNames& adapters);

  /// Switches the adapters off until the returned object ends.
  DisabledAdapters disable_adapter() { return DisabledAdapters(tuner_); }

  /// Makes all layers compute as the base until enable_adapter_layers().
  void disable_adapter_layers() { tuner_->set_enabled(false); }
  void enable_adapter_layers() { tuner_->set_enabled(true); }

  /// Gives each row of a batch its own adapter, or "__base__", until the returned object ends.
  MixedBatch mixed_batch(const std::vector<std::string>& adapter_names) {
    return MixedBatch(tuner_, adapter_names);
  }

  /// Adds an adapter that is made of others: see lora::add_weighted_adapter.
  void add_weighted_adapter(const std::vector<std::string>& adapters,
                            const std::vector<double>& weights, const std::string& adapter_name,
                            const CombineOptions& options = {});

  /// Folds adapters (empty: the active ones) into the base weights; they stay loaded.
  void merge_adapter(const std::vector<std::string>& adapters = {}, bool safe_merge = false,
                     const LayerProgress& progress = {});
  /// Puts the exact bytes of the base weights back.
  void unmerge_adapter() { tuner_->unmerge(); }

  /// Writes `adapter_model.safetensors`, `adapter_config.json` and a model card. The adapter
  /// "default" goes into the folder itself, every other one into a folder of its name in it.
  void save_pretrained(const std::filesystem::path& folder, const SaveOptions& options = {}) const;

  /// An adapter's tensors under the keys of its file, and back.
  StateDict state_dict(const std::string& adapter = "default",
                       SaveEmbeddingLayers embeddings = SaveEmbeddingLayers::kAuto) const;
  LoadResult load_state_dict(const StateDict& tensors, const std::string& adapter = "default",
                             const LoadStateOptions& options = {});

  /// What each adapted layer, and the whole model, does now.
  /// Throws: ConfigError where the model has no adapter layer.
  std::vector<TunerLayerStatus> get_layer_status() const { return peft::get_layer_status(*tuner_); }
  TunerModelStatus get_model_status() const { return peft::get_model_status(*tuner_); }

  using ParameterCount = peft::ParameterCount;
  ParameterCount get_nb_trainable_parameters() const { return count_parameters(tuner_->tree()); }
  /// "trainable params: 1,024 || all params: 10,240 || trainable%: 10.0000"
  void print_trainable_parameters(std::ostream& out = std::cout) const;

  /// All parameters, each once, under their names in the base model with the prefix
  /// "base_model.model.".
  NamedTensors named_parameters() const;
  std::vector<at::Tensor> parameters() const;
  /// Those that require a gradient, in the same order.
  NamedTensors trainable_parameters() const;

  void train(bool on = true);
  void eval() { train(false); }

  Tuner& tuner() { return *tuner_; }
  const Tuner& tuner() const { return *tuner_; }
  const std::shared_ptr<Tuner>& shared_tuner() const { return tuner_; }

 protected:
  PeftModel(ModelTree tree, PeftConfig config, const PeftModelOptions& options,
            PeftModelKind kind = {});
  /// From a folder; `model` must not be adapted yet.
  PeftModel(ModelTree tree, const std::filesystem::path& folder,
            const FromPretrainedOptions& options, PeftModelKind kind = {});

  void unload_adapters(bool merge, bool safe_merge, const std::vector<std::string>& adapters,
                       const LayerProgress& progress);

 private:
  void start(ModelTree tree, std::string_view peft_type);
  void add_heads(PeftConfig& config) const;

  std::shared_ptr<Tuner> tuner_;
  std::string peft_type_;
  PeftModelKind kind_;
};

namespace detail {

template <typename T>
struct IsSharedModule : std::false_type {};
template <typename T>
struct IsSharedModule<std::shared_ptr<T>> : std::is_base_of<torch::nn::Module, T> {};

template <typename Holder>
ModelTree model_tree(const Holder& model) {
  if constexpr (std::is_same_v<Holder, torch::jit::Module>) {
    return ModelTree(model);
  } else if constexpr (IsSharedModule<Holder>::value) {
    return ModelTree(std::shared_ptr<torch::nn::Module>(model));
  } else {
    return ModelTree(std::shared_ptr<torch::nn::Module>(model.ptr()));
  }
}

template <typename Holder>
auto* pointer(Holder& model) {
  if constexpr (std::is_same_v<Holder, torch::jit::Module>) {
    return &model;
  } else if constexpr (IsSharedModule<Holder>::value) {
    return model.get();
  } else {
    return model.ptr().get();
  }
}

}  // namespace detail

/// A PeftModel that knows its base model's type: `->` reaches the wrapped module. `Holder` is a
/// module holder (TORCH_MODULE), a shared pointer to a module, or a torch::jit::Module. `Base` is
/// PeftModel, or PeftMixedModel for adapters of several methods.
template <typename Holder, typename Base>
class PeftModelFor : public Base {
 public:
  PeftModelFor(Holder model, PeftConfig config, const PeftModelOptions& options = {})
      : Base(detail::model_tree(model), std::move(config), options), model_(std::move(model)) {}

  PeftModelFor(Holder model, const std::filesystem::path& folder,
               const FromPretrainedOptions& options)
      : Base(detail::model_tree(model), folder, options), model_(std::move(model)) {}

  /// What `->` gives: checks before the call, and tidies up after it.
  class Call {
   public:
    Call(const Tuner& tuner, Holder& model) : scope_(tuner), model_(detail::pointer(model)) {}
    auto* operator->() const { return model_; }

   private:
    CallScope scope_;
    decltype(detail::pointer(std::declval<Holder&>())) model_;
  };
  Call operator->() { return Call(this->tuner(), model_); }

  /// The wrapped model's forward.
  template <typename... Arguments>
  auto forward(Arguments&&... arguments) {
    const CallScope scope(this->tuner());
    return detail::pointer(model_)->forward(std::forward<Arguments>(arguments)...);
  }

  /// The wrapped model, adapters included.
  Holder get_base_model() const { return model_; }

  /// Folds the adapters (empty: the active ones) into the base and takes everything of them out of
  /// the model, which is returned.
  Holder merge_and_unload(bool safe_merge = false, const std::vector<std::string>& adapters = {},
                          const LayerProgress& progress = {}) {
    this->unload_adapters(true, safe_merge, adapters, progress);
    return model_;
  }

  /// Takes the adapters out and returns the base model.
  Holder unload() {
    this->unload_adapters(false, false, {}, {});
    return model_;
  }

 protected:
  Holder model_;
};

template <typename Holder>
PeftModelFor<Holder> PeftModel::from_pretrained(Holder model, const std::filesystem::path& folder,
                                                const FromPretrainedOptions& options) {
  return PeftModelFor<Holder>(std::move(model), folder, options);
}

/// What get_peft_model does with a config before it puts an adapter on a model: writes the base's
/// name into it, with a warning where it had another one, and warns of what the method finds
/// unwise.
void prepare_new_config(const ModelTree& tree, PeftConfig& config, const PeftModelOptions& options);

/// Puts a new adapter on a model and returns the model with it. The config names the model that it
/// is put on from then on.
/// Throws: ConfigError, NoMatchError, UnsupportedError; the model is then as it was.
/// Source: get_peft_model in peft/mapping_func.py.
template <typename Holder>
PeftModelFor<Holder> get_peft_model(Holder model, PeftConfig config,
                                    const PeftModelOptions& options = {}) {
  prepare_new_config(detail::model_tree(model), config, options);
  return PeftModelFor<Holder>(std::move(model), std::move(config), options);
}

/// Reads `adapter_config.json` of an adapter folder.
/// Throws: NotFoundError, FormatError, ConfigError, UnsupportedError.
PeftConfig read_adapter_config(const std::filesystem::path& folder);

/// True where a folder holds an adapter whose config can be read.
/// Source: check_if_peft_model in peft/helpers.py.
bool check_if_peft_model(const std::filesystem::path& folder);

}  // namespace peft
