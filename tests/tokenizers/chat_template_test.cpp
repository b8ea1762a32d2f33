#include "peft/tokenizers/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"

namespace peft::tokenizers {
namespace {

using testing::HasSubstr;

Json golden() {
  return read_json_file(std::string(PEFT_SOURCE_DIR) +
                        "/tests/tokenizers/golden/chat_template.json");
}

std::string render(const std::string& source, const Json& variables = Json::object()) {
  return ChatTemplate(source).render(Json::array(), {.variables = variables}).text;
}

std::string error_of(const std::string& source) {
  try {
    render(source);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Compares with what Python made of the same template: its text and ranges, or the kind of error.
void expect_same_as_python(const std::string& source, const Json& messages,
                           const RenderOptions& options, const Json& expected) {
  SCOPED_TRACE(source + "\nmessages: " + messages.dump());
  const std::string error = expected.value("error", "");
  if (error == "syntax") {
    EXPECT_THROW(ChatTemplate{source}, FormatError);
    return;
  }
  if (error == "run time") {
    EXPECT_THROW(ChatTemplate(source).render(messages, options), ConfigError);
    return;
  }
  try {
    const Rendered rendered = ChatTemplate(source).render(messages, options);
    EXPECT_EQ(rendered.text, expected["text"].get<std::string>());
    Json ranges = Json::array();
    for (const auto& [begin, end] : rendered.generation)
      ranges.push_back(Json::array({begin, end}));
    EXPECT_EQ(ranges, expected["generation"]);
  } catch (const Error& failure) {
    ADD_FAILURE() << "unexpected error: " << failure.what();
  }
}

TEST(ChatTemplate, RendersWholeTemplatesAsPython) {
  const Json part = golden()["templates"];
  ASSERT_GT(part["cases"].size(), 400u);
  for (const Json& entry : part["cases"]) {
    const RenderOptions options{.add_generation_prompt = entry["prompt"],
                                .tools = entry["tools"].get<bool>() ? part["tools"] : Json(),
                                .variables = part["variables"]};
    expect_same_as_python(part["sources"][entry["template"].get<std::string>()],
                          part["conversations"][entry["conversation"].get<size_t>()], options,
                          entry);
  }
}

TEST(ChatTemplate, CarriesOutSmallPiecesAsPython) {
  const Json part = golden()["pieces"];
  ASSERT_GT(part["cases"].size(), 700u);
  for (const Json& entry : part["cases"])
    expect_same_as_python(entry["source"], part["messages"], {.variables = part["variables"]},
                          entry);
}

TEST(ChatTemplate, TellsTheLineOfASyntaxError) {
  EXPECT_THAT(error_of("a\nb\n{% if %}"), HasSubstr("line 3"));
  EXPECT_THAT(error_of("{{ 'a\nb' }}\n{% nonsense %}"), HasSubstr("line 3"));
}

TEST(ChatTemplate, PassesOnWhatTheTemplateRaises) {
  EXPECT_THAT(error_of("{{ raise_exception('roles must alternate') }}"),
              HasSubstr("roles must alternate"));
}

TEST(ChatTemplate, NamesAnUndefinedValueThatIsLookedInto) {
  EXPECT_THAT(error_of("{{ message.content.text }}"), HasSubstr("'message' is undefined"));
}

TEST(ChatTemplate, StopsTemplatesThatDoNotEnd) {
  const std::string many = "range(100000)";
  EXPECT_THROW(
      render("{% for a in " + many + " %}{% for b in " + many + " %}{% endfor %}{% endfor %}"),
      ConfigError);
  EXPECT_THROW(render("{{ range(1000000) }}"), ConfigError);
}

TEST(ChatTemplate, StopsTemplatesThatGoTooDeep) {
  EXPECT_THROW(render("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}"), ConfigError);
  EXPECT_THROW(render("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}"
                      "{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}"),
               ConfigError);
  EXPECT_THROW(render("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}"),
               FormatError);
  std::string sum = "{{ 1";
  for (int i = 0; i < 5000; ++i) sum += " + 1";
  EXPECT_THROW(render(sum + " }}"), FormatError);
}

TEST(ChatTemplate, StopsTemplatesThatMakeTooMuchText) {
  EXPECT_THROW(render("{{ 'x' * 100000000000 }}"), ConfigError);
  EXPECT_THROW(render("{{ 'x' | indent(4000000000) }}"), ConfigError);
  EXPECT_THROW(render("{{ '%999999999d' % 1 ~ 'x'.center(10000000000) }}"), ConfigError);
  EXPECT_THROW(render("{% set ns = namespace(x='ab') %}{% for i in range(60) %}"
                      "{% set ns.x = ns.x ~ ns.x %}{% endfor %}"),
               ConfigError);
}

TEST(ChatTemplate, StopsValuesThatGrowByReference) {
  // Sixty doublings of one shared list would print 2^60 items.
  const std::string doubled =
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% endfor %}";
  EXPECT_THROW(render(doubled + "{{ ns.x }}"), ConfigError);
  EXPECT_THROW(render(doubled + "{{ ns.x == ns.x }}"), ConfigError);
}

TEST(ChatTemplate, RefusesWhatTheSandboxForbids) {
  EXPECT_THROW(render("{% set x = [1] %}{{ x.append(2) }}"), ConfigError);
  EXPECT_THROW(render("{% set x = {'a': 1} %}{{ x.pop('a') }}"), ConfigError);
}

TEST(ChatTemplate, ReadsTheArgumentsOfAToolCallThatAreText) {
  const Json variables = {{"arguments", R"({"city": "Köln", "days": [1, 2.5, null]})"}};
  EXPECT_EQ(render("{% for k, v in (arguments | from_json).items() %}{{ k }}={{ v }};{% endfor %}",
                   variables),
            "city=Köln;days=[1, 2.5, None];");
  EXPECT_EQ(render("{{ arguments | from_json | tojson == arguments }}", variables), "True");
  EXPECT_THAT(error_of("{{ '{\"a\": ]' | from_json }}"), HasSubstr("line 1, column 7"));
  EXPECT_THROW(render("{{ ('[' * 100000) | from_json }}"), ConfigError);
  EXPECT_THROW(render("{{ none | from_json }}"), ConfigError);
}

TEST(ChatTemplate, CanBeUsedManyTimes) {
  const ChatTemplate chat_template(
      "{% set ns = namespace(n=0) %}{% for m in messages %}"
      "{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}");
  const Json messages = {{{"role", "user"}, {"content", "a"}}};
  EXPECT_EQ(chat_template.render(messages).text, "1");
  EXPECT_EQ(chat_template.render(messages).text, "1");
}

}  // namespace
}  // namespace peft::tokenizers
