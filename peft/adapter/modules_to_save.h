#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/adapter/adapter_rows.h"
#include "peft/adapter/model_tree.h"
#include "peft/adapter/saved_rows.h"
#include "peft/adapter/slots.h"
#include "peft/adapter/tag.h"

namespace peft {

/// Stands in for one parameter or buffer of a module that is trained and saved in full: the copy of
/// the active adapter, or the base where none is active.
class SavedTensor final : public Replacement {
 public:
  SavedTensor(std::string parameter_name, bool is_buffer)
      : parameter_name_(std::move(parameter_name)), is_buffer_(is_buffer) {}
  at::Tensor current() const override { return current_; }
  const std::string& parameter_name() const override { return parameter_name_; }
  bool is_buffer() const override { return is_buffer_; }
  const AdapterLayer* per_row() const override { return per_row_.get(); }
  void set_current(at::Tensor tensor) { current_ = std::move(tensor); }
  void set_per_row(std::unique_ptr<SavedRows> layer) { per_row_ = std::move(layer); }

 private:
  std::string parameter_name_;
  bool is_buffer_;
  at::Tensor current_;
  std::unique_ptr<SavedRows> per_row_;
};

/// A module of modules_to_save with a copy of its parameters and buffers an adapter. At most one
/// adapter is active on it.
///
/// Source: ModulesToSaveWrapper in peft/utils/other.py.
class SavedModule {
 public:
  /// One parameter or buffer of the module.
  struct Member {
    std::string name;  // below the module: "weight", "dense.bias"
    at::Tensor base;
    bool is_buffer;
    ModuleEntry owner;  // that registers it
    std::shared_ptr<SavedTensor> replacement;
  };

  /// `below`: the module and everything under it, names from the root.
  /// Throws: ConfigError for a list or dictionary of modules, which has no forward of its own.
  SavedModule(const ModuleEntry& module, const std::vector<ModuleEntry>& below);

  const ModuleEntry& module() const { return module_; }
  const std::vector<Member>& members() const { return members_; }
  AdapterSlots& slots() { return slots_; }
  const AdapterSlots& slots() const { return slots_; }

  /// Copies the base for a new adapter; nothing where it has one already.
  void add(const std::string& adapter);
  /// Gives a new adapter the copy that it has of another module, whose weight this one shares.
  /// Nothing where it has a copy already.
  void add_tied(const std::string& adapter, const SavedModule& other);
  void remove(const std::string& adapter);
  bool has(const std::string& adapter) const;

  /// The adapter whose copies are read; empty: the base.
  const std::string& active() const { return active_; }
  void set_active(const std::string& adapter);
  void set_enabled(bool enabled);
  /// As Python tells it: it switches a module off when an adapter without a copy is activated,
  /// until one with a copy is, or all adapters are switched on.
  bool enabled() const { return enabled_ && !passed_over_; }

  /// One adapter a row while it is not null.
  void set_rows(std::shared_ptr<const AdapterRows> rows);
  /// Why the module cannot have one adapter a row; empty: it can.
  std::string mixed_batch_obstacle() const;

  /// The copy of a member; undefined where the adapter has none.
  at::Tensor copy_of(const std::string& adapter, const std::string& member) const;

 private:
  void refresh();
  std::unique_ptr<SavedRows> rows_layer(const Member& weight) const;

  ModuleEntry module_;
  std::vector<Member> members_;
  AdapterSlots slots_;
  std::vector<std::string> adapters_;
  std::string active_;
  bool enabled_ = true, passed_over_ = false;
  std::shared_ptr<const AdapterRows> rows_;
};

/// The modules whose name ends with one of `names`, without regard to dots, as in Python.
/// Warns where an ending reaches more than whole parts of names would.
/// Throws: ConfigError where one of them lies inside another.
std::vector<ModuleEntry> find_modules_to_save(const std::vector<ModuleEntry>& modules,
                                              const std::vector<std::string>& names);

}  // namespace peft
