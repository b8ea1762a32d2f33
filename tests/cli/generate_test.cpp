// peft generate: beams, and encoder-decoders. What the library itself gives is compared with
// transformers in tests/generate and tests/interop.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <set>

#include "peft/base/json_text.h"
#include "tests/cli/tiny_reader.h"
#include "tests/cli/tiny_writer.h"

namespace peft::cli {
namespace {

namespace fs = std::filesystem;

ProgramRun run_talker(const std::string& flags) {
  return run_peft(fmt::format("generate --model_name_or_path {} --prompt 'ab c' {}",
                              tiny_talker().string(), flags));
}

Json answers(const ProgramRun& done) {
  EXPECT_EQ(done.code, 0) << done.talk;
  const Json told = done.code == 0 ? Json::parse(done.out) : Json::array();
  return told.is_array() ? told : Json::array({told});
}

TEST(GenerateBeams, TheBestAnswersComeWithTheirScores) {
  const std::string beams = "--max_new_tokens 5 --num_beams 4 --json ";
  const Json best = answers(run_talker(beams + "--num_return_sequences 3"));
  ASSERT_EQ(best.size(), 3u);
  std::set<std::string> texts;
  for (size_t i = 0; i < best.size(); ++i) {
    texts.insert(best[i]["tokens"].dump());
    if (i > 0) {
      EXPECT_LE(best[i]["score"], best[i - 1]["score"]);
    }
  }
  EXPECT_EQ(texts.size(), 3u);  // no beam comes twice
  EXPECT_EQ(answers(run_talker(beams)).front(), best.front());
  // The log-probability of the answer, which `peft score` tells too, over its length.
  const Json& first = best.front();
  std::vector<int64_t> row = {3, 4, 29, 5};  // "ab c"
  const size_t prompt = row.size();
  for (const Json& token : first["tokens"]) row.push_back(token.get<int64_t>());
  const fs::path file = rows_file("beam.jsonl", {Json{{"input_ids", row}}});
  const Json scored = Json::parse(run_peft(fmt::format("score --model_name_or_path {} --input {}",
                                                       tiny_talker().string(), file.string()))
                                      .out);
  double sum = 0;
  for (size_t i = prompt - 1; i < scored["logprobs"].size(); ++i) {
    sum += scored["logprobs"][i].get<double>();
  }
  EXPECT_NEAR(first["score"].get<double>(), sum / static_cast<double>(first["tokens"].size()),
              1e-4);
}

TEST(GenerateBeams, ALongSearchScoresAtLeastWhatAGreedyOneDoes) {
  const auto score = [](const std::string& flags) {
    return answers(run_talker("--json --max_new_tokens 6 --length_penalty 0 " + flags))
        .front()["score"]
        .get<double>();
  };
  EXPECT_GE(score("--num_beams 8") + 1e-6, score("--num_beams 2"));
}

TEST(GenerateBeams, TheLengthPenaltyDividesTheScore) {
  const auto best = [](const std::string& penalty) {
    return answers(run_talker("--json --max_new_tokens 4 --min_new_tokens 4 --num_beams 3 "
                              "--length_penalty " +
                              penalty))
        .front();
  };
  // Rows of one length are the same beams, whose scores differ by the power of that length.
  const Json sum = best("0"), mean = best("1"), less = best("2");
  EXPECT_EQ(sum["tokens"], mean["tokens"]);
  EXPECT_NEAR(sum["score"].get<double>(), 4 * mean["score"].get<double>(), 1e-4);
  EXPECT_NEAR(mean["score"].get<double>(), 4 * less["score"].get<double>(), 1e-4);
}

// What the tiny T5 writes.
Json written(const std::string& flags) {
  return answers(run_on_writer("generate", "--prompt 'one two' --json " + flags)).front();
}

TEST(GenerateBeams, NoNgramComesTwice) {
  const auto twice = [&](const std::string& more) {
    const auto row = written("--max_new_tokens 12 --min_new_tokens 12 --num_beams 2 " + more)
                         .at("tokens")
                         .get<std::vector<int64_t>>();
    std::set<std::pair<int64_t, int64_t>> pairs;
    for (size_t i = 0; i + 1 < row.size(); ++i) pairs.insert({row[i], row[i + 1]});
    return pairs.size() < row.size() - 1;
  };
  EXPECT_TRUE(twice(""));
  EXPECT_FALSE(twice("--no_repeat_ngram_size 2"));
}

TEST(GenerateBeams, WrongFlagsAreUsageErrors) {
  expect_told(run_talker("--num_beams 0"), 2, "num_beams");
  expect_told(run_talker("--num_beams 2 --num_return_sequences 3"), 2, "num_return_sequences");
  expect_told(run_talker("--num_return_sequences 2"), 2, "num_return_sequences");
  expect_told(run_talker("--early_stopping perhaps"), 2, "--early_stopping perhaps");
  expect_told(run_talker("--num_beams 2 --stream"), 2, "--stream");
  expect_told(run_talker("--no_repeat_ngram_size -1"), 2, "no_repeat_ngram_size");
}

TEST(GenerateSeq2Seq, ATargetIsWrittenWithAndWithoutAnAdapter) {
  const Json plain = written("--max_new_tokens 5 --min_new_tokens 5");
  EXPECT_EQ(plain["prompt_tokens"], 3);  // the end of the source counts
  EXPECT_EQ(plain["tokens"].size(), 5u);
  EXPECT_EQ(plain["finish_reason"], "length");
  const fs::path rows =
      rows_file("targets.jsonl", {Json{{"text", "one two"}, {"target", "nine ten"}}});
  const std::string adapter = trained_writer(rows).string();
  const Json learnt = written("--adapter " + adapter);
  EXPECT_EQ(learnt["text"], "nine ten");
  EXPECT_EQ(learnt["finish_reason"], "stop_token");
  EXPECT_EQ(run_on_writer("generate", "--prompt 'one two' --stream --adapter " + adapter).out,
            "nine ten\n");
  EXPECT_EQ(written("--max_new_tokens 5 --min_new_tokens 5 --adapter_name __base__ --adapter " +
                    adapter)["tokens"],
            plain["tokens"]);
}

TEST(GenerateSeq2Seq, BeamsAndSamplesAreServed) {
  const Json beams = answers(run_on_writer(
      "generate",
      "--prompt 'one two' --json --max_new_tokens 4 --num_beams 3 --num_return_sequences 3"));
  ASSERT_EQ(beams.size(), 3u);
  EXPECT_GE(beams[0]["score"], beams[2]["score"]);
  const std::string sampling = "--max_new_tokens 12 --temperature 5 --top_k 0 --seed ";
  EXPECT_EQ(written(sampling + "1"), written(sampling + "1"));
  EXPECT_NE(written(sampling + "1"), written(sampling + "2"));
}

TEST(GenerateSeq2Seq, MistakesAreTold) {
  expect_told(run_on_writer("generate", "--chat one"), 1, "chat template");
  expect_told(run_on_writer("generate", "--prompt one --adapter " + tiny_writer().string()), 1,
              "expected a folder with adapter_config.json");
}

}  // namespace
}  // namespace peft::cli
