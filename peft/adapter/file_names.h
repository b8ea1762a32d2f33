#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "peft/adapter/file_prefix.h"
#include "peft/adapter/tuner.h"

namespace peft {

/// A name of the tree as Python's files have it. There a targeted module wraps the former one as
/// `base_layer`, and a saved one as `original_module`: names of what lies below carry that part.
class Tuner::FileNames {
 public:
  explicit FileNames(const Tuner& tuner) : prefix_(tuner.file_prefix()) {
    for (const Attachment& attachment : tuner.attachments_) {
      const std::string& name = attachment.found.site.module_name;
      if (!attachment.beside) targeted_.insert(name);
      wrappers_[name] += attachment.beside ? ".token_adapter.base_layer" : ".base_layer";
    }
    for (const auto& saved : tuner.saved_) saved_.insert(saved->module().name);
  }

  std::string operator()(const std::string& name) const {
    std::string file = prefix_;
    size_t begin = 0;
    for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', begin)) {
      file.append(name, begin, dot - begin);
      const std::string path = name.substr(0, dot);
      if (const auto found = wrappers_.find(path); found != wrappers_.end()) file += found->second;
      if (saved_.contains(path)) file += ".original_module";
      file += '.';
      begin = dot + 1;
    }
    return file + name.substr(begin);
  }

  bool targets(const std::string& module_name) const { return targeted_.contains(module_name); }

 private:
  std::string prefix_;
  std::unordered_set<std::string> targeted_, saved_;
  std::unordered_map<std::string, std::string> wrappers_;  // what Python puts around a module
};

}  // namespace peft
