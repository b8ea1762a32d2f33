// tokenize, generate, score and train on a model with a tokenizer and a chat template.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "tests/cli/run_program.h"

namespace peft::cli {
namespace {

namespace fs = std::filesystem;

fs::path file(const std::string& name, const std::string& text) {
  write_file_atomically(scratch() / name, text);
  return scratch() / name;
}

ProgramRun run(const std::string& command, const std::string& flags) {
  return run_peft(
      fmt::format("{} --model_name_or_path {} {}", command, tiny_talker().string(), flags));
}

Json generated(const std::string& flags) {
  const ProgramRun done = run("generate", "--json " + flags);
  EXPECT_EQ(done.code, 0) << done.talk;
  return done.code == 0 ? Json::parse(done.out) : Json::object();
}

TEST(TextCommands, TokenizeWritesAListPerText) {
  EXPECT_EQ(run("tokenize", "--text 'ab c'").out, "[3, 4, 29, 5]\n");
  EXPECT_EQ(run("tokenize", "--text=").out, "[]\n");
  EXPECT_EQ(run("tokenize", "--input " + file("lines.txt", "ab\n\nc").string()).out,
            "[3, 4]\n[]\n[5]\n");
  EXPECT_EQ(run("tokenize", "--input " + file("t.jsonl", "{\"text\": \"a\\nb\"}\n").string()).out,
            "[3, 31, 4]\n");
  const ProgramRun other =
      run("tokenize", "--input " + file("p.jsonl", "{\"text\": \"a\"}\n{\"txt\": 1}\n").string());
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.talk.find("p.jsonl:2"), std::string::npos) << other.talk;
}

TEST(TextCommands, TokenizeRendersConversations) {
  const fs::path chat = file(
      "chat.json", R"([{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}])");
  const std::string messages = "--messages " + chat.string();
  EXPECT_EQ(run("tokenize", messages).out, "[1, 3, 4, 0, 2, 5, 0]\n");
  EXPECT_EQ(run("tokenize", messages + " --add_generation_prompt --as_text").out,
            "<|user|>ab<|end|><|assistant|>c<|end|><|assistant|>");
  const fs::path other = file("other.jinja", "{{ messages[0].content }}!");
  EXPECT_EQ(run("tokenize", messages + " --as-text --chat-template " + other.string()).out, "ab!");
  const ProgramRun broken =
      run("tokenize", "--messages " + file("broken.json", "[{\n\"role\": }]").string());
  EXPECT_EQ(broken.code, 1);
  EXPECT_NE(broken.talk.find("broken.json"), std::string::npos) << broken.talk;
}

TEST(TextCommands, GenerateSaysTextTokensAndWhyItEnded) {
  const Json whole = generated("--prompt ab --max_new_tokens 6");
  EXPECT_EQ(whole["prompt_tokens"], 2);
  EXPECT_EQ(whole["tokens"].size(), 6);
  EXPECT_EQ(whole["finish_reason"], "length");
  const std::string text = whole["text"].get<std::string>();
  EXPECT_EQ(run("generate", "--prompt ab --max-new-tokens 6").out, text + "\n");
  EXPECT_EQ(run("generate", "--prompt ab --max_new_tokens 6 --stream").out, text + "\n");
  // A chat is the same as its messages, and as the text that the template makes of it.
  const std::string chat = generated("--chat ab --max_new_tokens 6").dump();
  EXPECT_EQ(generated("--prompt '<|user|>ab<|end|><|assistant|>' --max_new_tokens 6").dump(), chat);
  const fs::path messages = file("turn.json", R"([{"role": "user", "content": "ab"}])");
  EXPECT_EQ(generated("--max_new_tokens 6 --messages " + messages.string()).dump(), chat);
}

TEST(TextCommands, GenerateStopsWhereToldAndNotBefore) {
  const Json free = generated("--prompt ab --max_new_tokens 8");
  const std::string stop = free["text"].get<std::string>().substr(1, 2);
  const Json stopped =
      generated(fmt::format("--prompt ab --max_new_tokens 8 --stop_strings '{}'", stop));
  EXPECT_EQ(stopped["finish_reason"], "stop_string");
  EXPECT_LT(stopped["tokens"].size(), 8);
  EXPECT_EQ(generated("--prompt ab --max_new_tokens 8 --min_new_tokens 8")["tokens"].size(), 8);
}

TEST(TextCommands, ASeedGivesTheSameSampleAndAnotherSeedAnother) {
  const std::string sampling = "--prompt ab --max_new_tokens 16 --temperature 2 --top_k 0 --seed ";
  const std::string first = generated(sampling + "1").dump();
  EXPECT_EQ(generated(sampling + "1").dump(), first);
  EXPECT_NE(generated(sampling + "2").dump(), first);
}

TEST(TextCommands, WrongFlagsOfGenerateAreUsageErrors) {
  for (const char* flags :
       {"", "--prompt a --chat b", "--prompt a --temperature -1", "--prompt a --top_p 2",
        "--prompt a --top_k -1", "--prompt a --max_new_tokens -1", "--prompt a --min_p 3",
        "--prompt a --repetition_penalty 0", "--prompt a --max_new_tokens many"}) {
    const ProgramRun done = run("generate", flags);
    EXPECT_EQ(done.code, 2) << flags << ": " << done.talk;
    EXPECT_TRUE(done.out.empty()) << flags;
  }
}

TEST(TextCommands, AFolderWithoutAnAdapterIsAnError) {
  const ProgramRun done = run("generate", "--prompt a --adapter " + tiny_talker().string());
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.talk.find("expected a folder with adapter_config.json"), std::string::npos)
      << done.talk;
}

TEST(TextCommands, ScoreCountsTheCompletionAlone) {
  const std::string row = file("s.jsonl", "{\"prompt\": \"ab\", \"completion\": \"c\"}\n").string();
  const ProgramRun done = run("score", "--input " + row);
  ASSERT_EQ(done.code, 0) << done.talk;
  const Json score = Json::parse(done.out);
  EXPECT_EQ(score["logprobs"].size(), 3);  // b, c and the end that is appended
  EXPECT_EQ(score["num_tokens"], 2);
  EXPECT_NEAR(score["loss"].get<double>(),
              -(score["logprobs"][1].get<double>() + score["logprobs"][2].get<double>()) / 2, 1e-6);
  EXPECT_EQ(
      Json::parse(run("score", "--completion_only_loss false --input " + row).out)["num_tokens"],
      3);
}

TEST(TextCommands, TrainTakesEveryShapeOfRow) {
  const fs::path folder = scratch() / "mixed";
  fs::create_directories(folder);
  file("mixed/train.jsonl",
       "{\"text\": \"ab c\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}\n"
       "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, "
       "{\"role\": \"assistant\", \"content\": \"b\"}]}\n{\"input_ids\": [3, 4]}\n");
  file("mixed/valid.jsonl", "{\"text\": \"ab\"}\n");
  const ProgramRun done =
      run("train", fmt::format("--dataset_name {} --output_dir {} --max_steps 4 --logging_steps 1 "
                               "--eval_strategy steps --save_strategy steps --eval_steps 2 "
                               "--save_steps 2 --load_best_model_at_end "
                               "--gradient_checkpointing --json --per_device_train_batch_size 2",
                               folder.string(), (scratch() / "mixed_out").string()));
  ASSERT_EQ(done.code, 0) << done.talk;
  const Json state = read_json_file(scratch() / "mixed_out/trainer_state.json");
  EXPECT_TRUE(state["best_metric"].is_number());
  int evaluations = 0;
  for (const Json& entry : state["log_history"]) evaluations += entry.contains("eval_loss") ? 1 : 0;
  EXPECT_EQ(evaluations, 2);
  EXPECT_EQ(split(done.out, '\n').size(), state["log_history"].size() + 1);
}

TEST(TextCommands, TrainTellsWhatIsWrongWithItsData) {
  const auto talk_of = [](const std::string& text, const std::string& flags) {
    const fs::path data = file("wrong.jsonl", text);
    const ProgramRun done =
        run("train", fmt::format("--dataset_name {} --output_dir {} --max_steps 1 {}",
                                 data.string(), (scratch() / "wrong_out").string(), flags));
    return fmt::format("{}|{}", done.code, done.talk);
  };
  const auto expect = [&](const std::string& text, const std::string& flags,
                          const std::vector<std::string>& words) {
    const std::string talk = talk_of(text, flags);
    for (const auto& word : words) EXPECT_NE(talk.find(word), std::string::npos) << talk;
  };
  expect("{\"input_ids\": [3, 32]}\n", "", {"1|", "wrong.jsonl:1", "0 to 31", "32"});
  expect("{\"input_ids\": [3, 4], \"labels\": [3, 99]}\n", "", {"1|", "wrong.jsonl:1", "99"});
  expect("{\"text\": \"a\"}\nx\n", "", {"1|", "wrong.jsonl:2"});
  expect("{\"prompt\": \"abc\", \"completion\": \"d\"}\n", "--max_length 3",
         {"1|", "--max_length 3 and were cut", "counts in the loss", "Raise max_length"});
  expect("{\"text\": \"ab\"}\n", "--eval_strategy epoch", {"1|", "valid.jsonl"});
  expect("{\"text\": \"ab\"}\n", "--lora_target_modules q_prj", {"1|", "q_proj"});
  expect("{\"text\": \"ab\"}\n", "--lora_r 0", {"2|", "LoraConfig: r"});
  expect("{\"text\": \"ab\"}\n", "--lr_scheduler_type cosinus", {"2|", "'cosine'"});
  expect("{\"text\": \"ab\"}\n", "--assistant_only_loss", {"1|", "wrong.jsonl:1", "messages"});
  expect("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n", "--assistant_only_loss",
         {"1|", "wrong.jsonl:1", "assistant"});
}

}  // namespace
}  // namespace peft::cli
