#include "peft/hub/resolve.h"

#include <algorithm>
#include <string_view>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/hub/cache.h"
#include "peft/hub/reference.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;

using Files = std::vector<std::string>;

bool contains(const Files& files, const std::string& name) {
  return std::find(files.begin(), files.end(), name) != files.end();
}

void take(const Files& files, const std::string& pattern, Files& chosen) {
  for (const std::string& file : files) {
    if (matches_pattern(file, pattern) && !contains(chosen, file)) chosen.push_back(file);
  }
}

/// What transformers reads of a model's folder; a repository of GGUF files has no config.json.
Files tokenizer_files(const Files& files, const std::string& prefix) {
  Files chosen;
  if (!contains(files, prefix + "config.json")) {
    take(files, prefix + "*.gguf", chosen);
    if (chosen.size() > 1) {
      throw ConfigError("expected one .gguf file, got " + join_names(chosen) +
                        ". Name one of them: NAMESPACE/NAME/FILE.gguf.");
    }
    return chosen;
  }
  for (const char* name :
       {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "special_tokens_map.json",
        "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja",
        "chat_template.json", "additional_chat_templates/*.jinja"}) {
    take(files, prefix + name, chosen);
  }
  return chosen;
}

Files model_files(const Files& files, const std::string& prefix) {
  Files chosen = tokenizer_files(files, prefix);
  if (contains(files, prefix + "model.safetensors")) {
    chosen.push_back(prefix + "model.safetensors");
  } else {
    take(files, prefix + "model.safetensors.index.json", chosen);
    take(files, prefix + "model-*-of-*.safetensors", chosen);
  }
  return chosen;
}

Files adapter_files(const Files& files, const std::string& prefix) {
  Files chosen;
  take(files, prefix + "adapter_config.json", chosen);
  take(files, prefix + "README.md", chosen);
  take(files, prefix + "adapter_model.safetensors", chosen);
  if (!contains(chosen, prefix + "adapter_model.safetensors")) {
    take(files, prefix + "adapter_model.bin", chosen);
  }
  return chosen;
}

std::string joined(const std::string& a, const std::string& b) {
  return a.empty() || b.empty() ? a + b : a + "/" + b;
}

/// Brings what `choose` picks of a repository.
template <typename Choose>
fs::path brought(const Reference& reference, const ResolveOptions& options,
                 const std::string& subfolder, Choose&& choose) {
  Client client(options.settings ? *options.settings : settings_from_environment());
  DownloadOptions download{.progress = options.progress};
  if (!options.revision.empty()) {
    download.revision = options.revision;
  } else if (!reference.revision.empty()) {
    download.revision = reference.revision;
  }
  const std::string prefix = subfolder.empty() ? "" : subfolder + "/";
  download.select = [&](const Files& files) { return choose(files, prefix); };
  const std::string start = reference.repo + ": there is no such path here, and on the Hub: ";
  try {
    return snapshot_download(client, reference.repo, download);
  } catch (const NotFoundError& error) {
    throw NotFoundError(start + error.what());
  } catch (const NetworkError& error) {
    throw NetworkError(start + error.what());
  }
}

template <typename Choose>
fs::path found_model(const fs::path& name_or_path, const ResolveOptions& options, Choose&& choose) {
  std::error_code code;
  if (fs::exists(name_or_path, code)) return name_or_path;
  const auto reference = parse_reference(name_or_path.string());
  if (!reference) return name_or_path;
  const std::string inside = joined(reference->subfolder, options.subfolder);
  if (inside.ends_with(".gguf")) {
    return brought(*reference, options, "",
                   [&](const Files& files, const std::string&) {
                     Files chosen;
                     if (contains(files, inside)) chosen.push_back(inside);
                     return chosen;
                   }) /
           inside;
  }
  const fs::path folder = brought(*reference, options, inside, choose) / inside;
  if (fs::exists(folder / "config.json", code)) return folder;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    if (entry.path().extension() == ".gguf") return entry.path();
  }
  throw NotFoundError("repository " + quote(reference->repo) +
                      ": expected a model with config.json or a .gguf file" +
                      (inside.empty() ? "" : " in " + quote(inside)) + ", got none.");
}

}  // namespace

fs::path model_folder(const fs::path& name_or_path, const ResolveOptions& options) {
  return found_model(name_or_path, options, model_files);
}

std::optional<fs::path> cached_file(const fs::path& name, const std::string& file,
                                    const Settings& settings) {
  const auto reference = parse_reference(name.string());
  if (!reference) return std::nullopt;
  const RepoCache cache(settings, reference->repo);
  const auto commit = cache.commit_of(reference->revision.empty() ? "main" : reference->revision);
  if (!commit) return std::nullopt;
  const fs::path path = cache.file(*commit, joined(reference->subfolder, file));
  std::error_code code;
  return fs::is_regular_file(path, code) ? std::optional(path) : std::nullopt;
}

fs::path tokenizer_folder(const fs::path& name_or_path, const ResolveOptions& options) {
  return found_model(name_or_path, options, tokenizer_files);
}

fs::path adapter_folder(const fs::path& name_or_path, const ResolveOptions& options) {
  std::error_code code;
  if (fs::exists(name_or_path, code)) {
    return options.subfolder.empty() ? name_or_path : name_or_path / options.subfolder;
  }
  const auto reference = parse_reference(name_or_path.string());
  if (!reference) return name_or_path;
  const std::string inside = joined(reference->subfolder, options.subfolder);
  const fs::path folder = brought(*reference, options, inside, adapter_files) / inside;
  if (fs::exists(folder / "adapter_config.json", code)) return folder;
  throw NotFoundError("repository " + quote(reference->repo) +
                      ": expected an adapter with adapter_config.json" +
                      (inside.empty() ? "" : " in " + quote(inside)) + ", got none.");
}

}  // namespace peft::hub
