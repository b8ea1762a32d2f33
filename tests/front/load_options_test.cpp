// How an adapter's files are found and read, and when an adapter that fits in part is refused.

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/peft_model.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::CollectedWarnings;
using test::expect_message;
using test::Net;
using test::TemporaryFolder;

const char* const kWeightsFile = "adapter_model.safetensors";

/// An adapter of Net that changes its output.
void write_adapter(const fs::path& folder,
                   LoraConfig config = {.r = 2, .target_modules = {"fc1", "fc2"}}) {
  torch::manual_seed(3);
  config.init_lora_weights = false;
  Net net;
  get_peft_model(net, config).save_pretrained(folder);
}

StateDict copy_of(const StateDict& state) {
  StateDict copy;
  for (const auto& [key, tensor] : state) copy.set(key, tensor.clone());
  return copy;
}

StateDict file_of(const fs::path& folder) {
  return copy_of(formats::SafetensorsFile(folder / kWeightsFile).load_all());
}

void expect_same(const StateDict& ours, const StateDict& wanted) {
  ASSERT_EQ(ours.size(), wanted.size());
  for (const auto& [key, tensor] : wanted) EXPECT_TRUE(at::equal(ours.at(key), tensor)) << key;
}

/// Rewrites the weights of a folder under other keys or with other tensors.
template <typename Change>
void rewrite(const fs::path& folder, Change change) {
  StateDict changed;
  for (const auto& [key, tensor] : file_of(folder)) change(changed, key, tensor);
  formats::write_safetensors(folder / kWeightsFile, changed);
}

TEST(LoadOptions, ASubfolderIsFound) {
  const TemporaryFolder folder("subfolder");
  write_adapter(folder.path() / "inner" / "deep");
  Net first, second;
  const auto model =
      PeftModel::from_pretrained(first, folder.path(), {.source = {.subfolder = "inner/deep"}});
  expect_same(model.state_dict(), file_of(folder.path() / "inner/deep"));
  const Json kwargs{{"subfolder", "inner/deep"}, {"revision", "main"}};
  EXPECT_NO_THROW(
      PeftModel::from_pretrained(second, folder.path(), {.source = {.kwargs = kwargs}}));
  Net third;
  expect_message<NotFoundError>({"elsewhere", "adapter_config.json"}, [&] {
    PeftModel::from_pretrained(third, folder.path(), {.source = {.subfolder = "elsewhere"}});
  });
}

TEST(LoadOptions, KeysAreMapped) {
  const TemporaryFolder folder("mapped");
  write_adapter(folder.path());
  const StateDict wanted = file_of(folder.path());
  rewrite(folder.path(), [](StateDict& to, const std::string& key, const at::Tensor& tensor) {
    std::string other = key;
    to.set(other.replace(other.find("fc"), 2, "dense.layer"), tensor);
  });
  Net net;
  expect_message<MismatchError>({"nowhere", "unexpected", "dense.layer1"},
                                [&] { PeftModel::from_pretrained(net, folder.path()); });
  const KeyMapping mapping{{"^nothing", "x"}, {R"(^dense\.layer(\d))", R"(fc\1)"}, {"fc", "never"}};
  const auto model =
      PeftModel::from_pretrained(net, folder.path(), {.source = {.key_mapping = mapping}});
  expect_same(model.state_dict(), wanted);
}

TEST(LoadOptions, AWrongMappingIsRefused) {
  const at::Tensor one = torch::ones({1});
  const StateDict tensors{{"base_model.model.a", one}, {"base_model.model.b", one}};
  expect_message<ConfigError>({"key_mapping", "two of them"}, [&] {
    apply_key_mapping(tensors, {{"a|b", "c"}});
  });
  expect_message<ConfigError>({"key_mapping", "'a'", "base_model."}, [&] {
    apply_key_mapping({{"a", one}}, {{"a", "b"}});
  });
  expect_message<ConfigError>({"key_mapping"}, [&] { apply_key_mapping(tensors, {{"(", "b"}}); });
  EXPECT_EQ(apply_key_mapping({{"base_model.x", one}}, {{"x", "y"}}).names(),
            std::vector<std::string>{"base_model.y"});
}

TEST(LoadOptions, AnAdapterThatFitsInPartIsRefusedUnlessAskedFor) {
  const TemporaryFolder folder("part");
  write_adapter(folder.path());
  rewrite(folder.path(), [](StateDict& to, const std::string& key, const at::Tensor& tensor) {
    if (key.find("fc2.lora_B") == std::string::npos) to.set(key, tensor);
  });
  Net net;
  expect_message<MismatchError>({"in part only", "missing", "fc2.lora_B", "strict"},
                                [&] { PeftModel::from_pretrained(net, folder.path()); });
  EXPECT_FALSE(net->fc1->named_children().contains("lora_A"));
  const CollectedWarnings warnings;
  auto model = PeftModel::from_pretrained(net, folder.path(), {.strict = false});
  EXPECT_TRUE(warnings.tell("Found missing adapter keys"));
  const LoadResult result = model.load_adapter(folder.path(), "again", {.strict = false});
  EXPECT_EQ(result.matched.size(), 3u);
  EXPECT_EQ(result.missing, std::vector<std::string>{"base_model.model.fc2.lora_B.weight"});
  EXPECT_EQ(result.report(),
            "3 tensors were loaded; missing: 'base_model.model.fc2.lora_B.weight'");
}

TEST(LoadOptions, APartOfTheFileWithoutAPlaceIsRefusedUnlessAskedFor) {
  const TemporaryFolder folder("more");
  write_adapter(folder.path());
  Net net;
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
  const StateDict before = copy_of(model.state_dict());
  expect_message<MismatchError>({"unexpected", "fc2.lora_A"},
                                [&] { model.load_adapter(folder.path(), "default"); });
  expect_same(model.state_dict(), before);
  const LoadResult result = model.load_adapter(folder.path(), "default", {.strict = false});
  EXPECT_EQ(result.unexpected.size(), 2u);
  EXPECT_TRUE(at::equal(model.state_dict().at("base_model.model.fc1.lora_A.weight"),
                        file_of(folder.path()).at("base_model.model.fc1.lora_A.weight")));
}

TEST(LoadOptions, OtherShapesAreLeftOutWhereAskedFor) {
  const TemporaryFolder folder("shapes");
  write_adapter(folder.path());
  rewrite(folder.path(), [](StateDict& to, const std::string& key, const at::Tensor& tensor) {
    to.set(key, key.find("fc2.lora_A") == std::string::npos ? tensor : torch::ones({3, 5}));
  });
  Net net;
  EXPECT_THROW(PeftModel::from_pretrained(net, folder.path()), MismatchError);
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1", "fc2"}});
  const CollectedWarnings warnings;
  const LoadResult result =
      model.load_adapter(folder.path(), "other", {.ignore_mismatched_sizes = true});
  ASSERT_EQ(result.mismatched.size(), 1u);
  EXPECT_EQ(result.mismatched[0].file_shape, (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(result.mismatched[0].model_shape, (std::vector<int64_t>{2, 5}));
  EXPECT_TRUE(warnings.tell("ignore_mismatched_sizes"));
  EXPECT_TRUE(warnings.tell("(file [3, 5], model [2, 5])"));
}

TEST(LoadOptions, WithoutMemoryOfItsOwnTheAdapterIsTheSame) {
  const TemporaryFolder folder("low_memory");
  write_adapter(folder.path(), {.r = 2,
                                .target_modules = {"fc1"},
                                .bias = "all",
                                .modules_to_save = std::vector<std::string>{"fc2"}});
  const at::Tensor x = torch::randn({3, 6});
  torch::manual_seed(7);
  Net plain, frugal;
  torch::nn::utils::vector_to_parameters(
      torch::nn::utils::parameters_to_vector(plain->parameters()), frugal->parameters());
  auto wanted = PeftModel::from_pretrained(plain, folder.path(), {.is_trainable = true});
  auto model = PeftModel::from_pretrained(frugal, folder.path(),
                                          {.is_trainable = true, .low_cpu_mem_usage = true});
  expect_same(model.state_dict(), wanted.state_dict());
  EXPECT_TRUE(at::equal(model.forward(x), wanted.forward(x)));
  wanted.forward(x).sum().backward();
  model.forward(x).sum().backward();
  const auto ours = model.trainable_parameters(), theirs = wanted.trainable_parameters();
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_TRUE(at::equal(ours[i].second.grad(), theirs[i].second.grad())) << ours[i].first;
  }
}

TEST(LoadOptions, AnAdapterWithoutValuesHasToBeFilledInWhole) {
  const TemporaryFolder folder("unfilled");
  write_adapter(folder.path(), {.r = 2, .target_modules = {"fc1"}});
  Net net;
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
  const LoraConfig wide{.r = 2, .target_modules = {"fc1", "fc2"}};
  model.add_adapter("wide", wide, true, /*low_cpu_mem_usage=*/true);
  for (const auto& [key, tensor] : model.state_dict("wide")) EXPECT_TRUE(tensor.is_meta()) << key;
  expect_message<MismatchError>({"no values", "low_cpu_mem_usage"}, [&] {
    model.load_adapter(folder.path(), "wide", {.strict = false});
  });
  write_adapter(folder.path(), wide);
  model.load_adapter(folder.path(), "wide");
  expect_same(model.state_dict("wide"), file_of(folder.path()));
}

TEST(LoadOptions, TensorsTravelOverTheDeviceThatIsNamed) {
  const TemporaryFolder folder("device");
  write_adapter(folder.path());
  std::vector<at::Device> devices{at::Device(at::kCPU)};
  if (torch::cuda::is_available()) devices.emplace_back("cuda:0");
  for (const at::Device& device : devices) {
    Net net;
    const auto model =
        PeftModel::from_pretrained(net, folder.path(), {.source = {.torch_device = device}});
    expect_same(model.state_dict(), file_of(folder.path()));
  }
}

TEST(LoadOptions, ADeviceThatIsNotThereIsNamed) {
  const TemporaryFolder folder("no_device");
  write_adapter(folder.path());
  Net net;
  expect_message<ConfigError>({"torch_device", "xpu"}, [&] {
    PeftModel::from_pretrained(net, folder.path(),
                               {.source = {.torch_device = at::Device("xpu:0")}});
  });
}

TEST(LoadOptions, AConfigThatIsGivenWinsOverTheFile) {
  const TemporaryFolder folder("config");
  write_adapter(folder.path());
  write_file_atomically(folder.path() / "adapter_config.json", "no JSON");
  Net net;
  const LoraConfig config{.r = 2, .target_modules = {"fc1", "fc2"}, .lora_alpha = 32};
  const auto model = PeftModel::from_pretrained(net, folder.path(), {.config = config});
  EXPECT_EQ(model.peft_config("default").as<LoraConfig>().lora_alpha, Number(32));
  EXPECT_TRUE(model.peft_config("default").as<LoraConfig>().inference_mode);
}

TEST(SplitKwargs, ParametersOfTheHubAndTheRest) {
  const SplitKwargs split = split_kwargs(
      {{"revision", "v1"}, {"lora_alpha", 3}, {"use_auth_token", true}, {"token", "x"}});
  EXPECT_EQ(split.hub, (Json{{"revision", "v1"}, {"use_auth_token", true}, {"token", "x"}}));
  EXPECT_EQ(split.others, (Json{{"lora_alpha", 3}}));
  expect_message<ConfigError>({"kwargs", "object"}, [] { split_kwargs(Json::array()); });
}

TEST(SplitKwargs, FillWhatTheFileLacksAndNoMore) {
  const TemporaryFolder folder("kwargs");
  write_adapter(folder.path());
  Json config = read_json_file(folder.path() / "adapter_config.json");
  config.erase("lora_dropout");
  write_file_atomically(folder.path() / "adapter_config.json", dump_json(config));
  const auto read = read_adapter_config(
      folder.path(), {.kwargs = {{"lora_dropout", 0.5}, {"r", 77}, {"cache_dir", "/tmp"}}});
  EXPECT_EQ(read.as<LoraConfig>().lora_dropout, 0.5);
  EXPECT_EQ(read.as<LoraConfig>().r, 2);
  expect_message<ConfigError>({"kwargs", "'lora_dropuot'"}, [&] {
    read_adapter_config(folder.path(), {.kwargs = {{"lora_dropuot", 0.5}}});
  });
  expect_message<ConfigError>({"kwargs", "subfolder", "string"}, [&] {
    adapter_place(folder.path(), {.kwargs = {{"subfolder", 3}}});
  });
}

TEST(SaveOptions, OnlyTheMainProcessWrites) {
  const TemporaryFolder folder("main_process");
  Net net;
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
  model.add_adapter("other", LoraConfig{.r = 2, .target_modules = {"fc1"}});
  model.save_pretrained(folder.path() / "saved", {.is_main_process = false});
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path() / "saved")) {
    found.push_back(entry.path().filename());
  }
  EXPECT_EQ(found, std::vector<std::string>{"other"});
}

}  // namespace
}  // namespace peft
