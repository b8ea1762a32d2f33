#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "peft/peft_model.h"

namespace peft {

/// The adapters of a module of the user's own that stays what it is: no PeftModel stands around it,
/// and keys have no prefix. Copies share the adapters. As in a PeftModel, the module computes with
/// them for as long as they are in it, also after this object is gone.
///
/// Source: peft/functional.py, whose functions find the adapters by walking the module.
class InjectedAdapters {
 public:
  explicit InjectedAdapters(std::shared_ptr<Tuner> tuner) : tuner_(std::move(tuner)) {}
  Tuner& tuner() const { return *tuner_; }

 private:
  std::shared_ptr<Tuner> tuner_;
};

struct InjectAdapterOptions {
  std::string adapter_name = "default";
  bool low_cpu_mem_usage = false;  // no values until set_peft_model_state_dict
  /// Where given, the modules that its keys name are adapted, whatever the config's targets are.
  const StateDict* state_dict = nullptr;
};

/// Puts an adapter into a module tree.
/// Throws: ConfigError, NoMatchError, UnsupportedError; the module is then as it was.
/// Source: inject_adapter_in_model in peft/mapping.py.
InjectedAdapters inject_adapter_in_model(PeftConfig config, ModelTree model,
                                         const InjectAdapterOptions& options = {});

template <typename Holder>
InjectedAdapters inject_adapter_in_model(PeftConfig config, const Holder& model,
                                         const InjectAdapterOptions& options = {}) {
  return inject_adapter_in_model(std::move(config), detail::model_tree(model), options);
}

/// Adds one more adapter of the same method; it is not activated.
void inject_adapter_in_model(PeftConfig config, const InjectedAdapters& adapters,
                             const InjectAdapterOptions& options);

/// Activates these adapters and no others.  Throws: NotFoundError.
void set_adapter(const InjectedAdapters& adapters, const AdapterNames& names,
                 bool inference_mode = false);
/// Throws: NotFoundError.
void set_requires_grad(const InjectedAdapters& adapters, const AdapterNames& names,
                       bool requires_grad = true);
/// Throws: NotFoundError; ConfigError where it is merged.
void delete_adapter(const InjectedAdapters& adapters, const std::string& name);
/// Turns an adapter's float16 and bfloat16 parameters into float32 ones in their place.
/// Throws: NotFoundError.
void cast_adapter_dtype(const InjectedAdapters& adapters, const std::string& name,
                        bool autocast_adapter_dtype = true);

/// An adapter's tensors: for a PeftModel under the keys of its file, for a module's own adapters
/// without the prefix "base_model.model.".  Throws: NotFoundError.
/// Source: get_peft_model_state_dict in peft/utils/save_and_load.py.
StateDict get_peft_model_state_dict(
    const PeftModel& model, const std::string& adapter_name = "default",
    SaveEmbeddingLayers save_embedding_layers = SaveEmbeddingLayers::kAuto);
StateDict get_peft_model_state_dict(
    const InjectedAdapters& adapters, const std::string& adapter_name = "default",
    SaveEmbeddingLayers save_embedding_layers = SaveEmbeddingLayers::kAuto);

/// Fills an adapter. Keys may have the prefix or not.
/// Throws: MismatchError; then nothing has changed.
/// Source: set_peft_model_state_dict in peft/utils/save_and_load.py.
LoadResult set_peft_model_state_dict(PeftModel& model, const StateDict& tensors,
                                     const std::string& adapter_name = "default",
                                     const LoadStateOptions& options = {});
LoadResult set_peft_model_state_dict(const InjectedAdapters& adapters, const StateDict& tensors,
                                     const std::string& adapter_name = "default",
                                     const LoadStateOptions& options = {});

/// The base model's parameters and buffers under the names that they have without adapters. The
/// tensors share the model's memory.
/// Source: get_base_model_state_dict in peft/utils/save_and_load.py.
StateDict get_base_model_state_dict(const PeftModel& model);

/// Fills the base model.
/// Throws: MismatchError (a shape; with `strict` keys that differ), ConfigError (an adapter is
/// merged); then nothing has changed.
LoadResult set_base_model_state_dict(PeftModel& model, const StateDict& tensors,
                                     bool strict = true);

/// The tensors of an adapter folder.
/// Throws: NotFoundError, FormatError, ConfigError.
/// Source: load_peft_weights in peft/utils/save_and_load.py.
StateDict load_peft_weights(const std::filesystem::path& name_or_folder,
                            const AdapterSource& source = {});

}  // namespace peft
