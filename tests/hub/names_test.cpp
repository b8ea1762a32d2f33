#include <gmock/gmock.h>

#include "peft/hub/cache.h"
#include "peft/hub/client.h"
#include "peft/hub/digest.h"
#include "peft/hub/patterns.h"
#include "peft/hub/reference.h"
#include "tests/hub/support.h"

namespace peft::hub {
namespace {

TEST(RepoId, FollowsThePythonRules) {
  for (const char* good : {"gpt2", "org/name", "org/na.me_1-x", "_a/b_"}) {
    EXPECT_NO_THROW(check_repo_id(good)) << good;
  }
  for (const char* bad : {"", "a/b/c", "a//b", "/a", "a/", "-a/b", "a/b.", "a/b--c", "a/b..c",
                          "a/b.git", "a/b c", "a/../b", "a/é"}) {
    EXPECT_THROW(check_repo_id(bad), ConfigError) << bad;
  }
  EXPECT_THROW(check_repo_id(std::string(97, 'a')), ConfigError);
}

TEST(Revision, CannotLeaveTheRefs) {
  for (const char* good : {"main", "v1.0", "refs/pr/1", "feature/x"}) {
    EXPECT_NO_THROW(check_revision(good)) << good;
  }
  for (const char* bad : {"", "..", "a/../b", "/etc", "a//b", "a b", "a\\b", ".hidden"}) {
    EXPECT_THROW(check_revision(bad), ConfigError) << bad;
  }
}

TEST(FilePath, StaysInTheSnapshot) {
  EXPECT_NO_THROW(check_file_path("a/b c.txt"));
  for (const char* bad :
       {"", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\\b", "a\nb", "\xff"}) {
    EXPECT_THROW(check_file_path(bad), FormatError) << bad;
  }
}

TEST(Reference, NamesRepositoryRevisionAndSubfolder) {
  const auto plain = parse_reference("org/name");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->repo, "org/name");
  EXPECT_EQ(plain->revision + plain->subfolder, "");
  const auto full = parse_reference("hf://org/name@v1.0/sub/folder/");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->repo, "org/name");
  EXPECT_EQ(full->revision, "v1.0");
  EXPECT_EQ(full->subfolder, "sub/folder");
  EXPECT_EQ(parse_reference("gpt2")->repo, "gpt2");
  EXPECT_EQ(parse_reference("gpt2@main")->revision, "main");
  EXPECT_EQ(parse_reference("org/name@refs/pr/3/sub")->revision, "refs/pr/3");
  EXPECT_EQ(parse_reference("org/name@feature%2Fx/sub")->revision, "feature/x");
  for (const char* bad : {"model.gguf", "", "/abs/path", "./org/name", "../org/name", "~/x",
                          "org/name@", "org/name/../x"}) {
    EXPECT_FALSE(parse_reference(bad)) << bad;
  }
}

TEST(Patterns, MatchAsFnmatchDoes) {
  EXPECT_TRUE(matches_pattern("a/b.safetensors", "*.safetensors"));
  EXPECT_TRUE(matches_pattern("model-00001-of-2.bin", "model-0000?-of-*.bin"));
  EXPECT_TRUE(matches_pattern("b", "[a-c]"));
  EXPECT_TRUE(matches_pattern("d", "[!a-c]"));
  EXPECT_TRUE(matches_pattern("[x", "[x"));
  EXPECT_TRUE(matches_pattern("]", "[]]"));
  EXPECT_FALSE(matches_pattern("A.txt", "a.txt"));
  EXPECT_FALSE(matches_pattern("d", "[a-c]"));
  EXPECT_FALSE(matches_pattern("ab", "a"));
  // Doubling backtracking would take ages.
  EXPECT_FALSE(matches_pattern(std::string(5000, 'a'), "*a*a*a*a*a*a*a*a*b"));
}

TEST(Patterns, IncludeAndExclude) {
  const Patterns patterns{.include = {"*.json", "sub/"}, .exclude = {"sub/x*"}};
  EXPECT_TRUE(patterns.admit("config.json"));
  EXPECT_TRUE(patterns.admit("sub/a/b"));
  EXPECT_FALSE(patterns.admit("sub/x.json"));
  EXPECT_FALSE(patterns.admit("README.md"));
  EXPECT_TRUE(Patterns{}.admit("anything"));
}

// Expected values: coreutils' sha256sum and `git hash-object`.
TEST(Digest, IsTheKnownOne) {
  Digest sha(Digest::Kind::kSha256);
  sha.update("hel");
  sha.update("lo");
  EXPECT_EQ(sha.hex(), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  Digest git = Digest::of_git_blob(5);
  git.update("hello");
  EXPECT_EQ(git.hex(), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("ab"), "YWI=");
}

TEST(AskedWait, ReadsBothHeaders) {
  EXPECT_EQ(asked_wait({.headers = {{"retry-after", "7"}}}), 7.0);
  EXPECT_EQ(asked_wait({.headers = {{"ratelimit", "\"api\";r=0;t=55"}}}), 56.0);
  EXPECT_EQ(asked_wait({.headers = {{"ratelimit", "\"api\";r=4;t=55"}}}), std::nullopt);
  EXPECT_EQ(asked_wait({.headers = {{"retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"}}}),
            std::nullopt);
  EXPECT_EQ(asked_wait({}), std::nullopt);
}

TEST(Origin, IsSchemeHostAndPort) {
  EXPECT_EQ(origin_of("https://Huggingface.co/a"), origin_of("https://huggingface.co:443"));
  EXPECT_NE(origin_of("http://huggingface.co"), origin_of("https://huggingface.co"));
  EXPECT_NE(origin_of("https://huggingface.co"), origin_of("https://huggingface.co.evil.org"));
  EXPECT_NE(origin_of("https://huggingface.co@evil.org/"), origin_of("https://huggingface.co"));
  EXPECT_THROW(origin_of("file:///etc/passwd"), NetworkError);
  EXPECT_THROW(origin_of("nonsense"), NetworkError);
  EXPECT_EQ(resolved_url("https://a.org/x/y?q", "/z"), "https://a.org/z");
  EXPECT_EQ(shown_url("https://user:word@a.org/x?signature=secret"), "https://a.org/x");
}

}  // namespace
}  // namespace peft::hub
