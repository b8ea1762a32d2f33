#include "peft/tokenizers/aligned_text.h"

#include <gtest/gtest.h>

namespace peft::tokenizers {
namespace {

TEST(AlignedText, AnUnchangedTextStandsForItselfCharacterByCharacter) {
  const AlignedText text("aé😀", 10);
  EXPECT_EQ(text.source({0, 1}), (Range{10, 11}));
  EXPECT_EQ(text.source({1, 3}), (Range{11, 13}));
  EXPECT_EQ(text.source({2, 4}), (Range{11, 17})) << "parts of characters count as whole";
}

TEST(AlignedText, WhatIsPutInStandsForItsNeighbour) {
  AlignedText text("ab");
  AlignedText::Editor editor(text);
  editor.put_as_next("<>");
  editor.keep(1);
  editor.put_as_previous("+");
  editor.commit();
  EXPECT_EQ(text.text(), "<>a+b");
  EXPECT_EQ(text.source({0, 1}), (Range{0, 1}));
  EXPECT_EQ(text.source({0, 3}), (Range{0, 1}));
  EXPECT_EQ(text.source({3, 4}), (Range{0, 1}));
  EXPECT_EQ(text.source({4, 5}), (Range{1, 2}));
}

TEST(AlignedText, WhatIsDroppedLeavesAGap) {
  AlignedText text("abcdef");
  AlignedText::Editor editor(text);
  editor.keep(1);
  editor.drop(3);
  editor.commit();
  EXPECT_EQ(text.text(), "aef");
  EXPECT_EQ(text.source({1, 3}), (Range{4, 6}));
  EXPECT_EQ(text.source({0, 2}), (Range{0, 5}));
}

TEST(AlignedText, ChangesOfChangesStillPointToTheOriginal) {
  AlignedText text("a b c");
  for (int i = 0; i < 3; ++i) {
    AlignedText::Editor editor(text);
    while (editor.position() < text.text().size()) {
      if (text.text()[editor.position()] == ' ') editor.put_as_next("__");
      editor.keep(1);
    }
    editor.commit();
  }
  EXPECT_EQ(text.text(), "a______ b______ c");
  EXPECT_EQ(text.source({1, 3}), (Range{1, 2}));
  EXPECT_EQ(text.source({8, 9}), (Range{2, 3}));
  EXPECT_EQ(text.source({16, 17}), (Range{4, 5}));
}

TEST(AlignedText, AnEmptyRangeIsAPlace) {
  const AlignedText text("ab", 5);
  EXPECT_EQ(text.source({0, 0}), (Range{5, 5}));
  EXPECT_EQ(text.source({2, 2}), (Range{7, 7}));
}

}  // namespace
}  // namespace peft::tokenizers
