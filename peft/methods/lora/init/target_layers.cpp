#include "peft/methods/lora/init/target_layers.h"

#include "peft/adapter/matching.h"
#include "peft/adapter/targets.h"
#include "peft/methods/lora/targets.h"

namespace peft::lora {

std::vector<FoundSite> target_layers(const ModelTree& tree, const ModelFacts& facts,
                                     LoraConfig config) {
  const auto modules = tree.modules();
  SharedFields fields = shared_fields(config);
  resolve_targets(fields, modules, facts, default_targets);
  const TargetMatcher matcher(fields);
  std::vector<FoundSite> layers;
  for (const ModuleEntry& module : modules) {
    if (module.name.empty() || !is_linear(module)) continue;
    if (matcher.match(module.name) != MatchResult::kMatched) continue;
    for (FoundSite& found : sites_of(module, config.fan_in_fan_out)) {
      layers.push_back(std::move(found));
    }
  }
  return layers;
}

}  // namespace peft::lora
