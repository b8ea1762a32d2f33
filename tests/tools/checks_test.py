"""The checks of the house find what they are there to find."""
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import check_docs  # noqa: E402
import check_layers  # noqa: E402
import check_sizes  # noqa: E402


class Layers(unittest.TestCase):
    def setUp(self):
        self.layers, self.torch_free = check_layers.read_layers(ROOT / ".ci/layers.txt")

    def faults(self, path, line):
        return check_layers.faults_of(path, line, self.layers, self.torch_free)

    def test_an_include_that_goes_up_is_found(self):
        self.assertTrue(self.faults("peft/base/text.cpp", '#include "peft/tensor/dtype.h"'))
        self.assertTrue(self.faults("peft/adapter/tag.cpp", '#include "peft/peft_model.h"'))
        self.assertFalse(self.faults("peft/tensor/dtype.cpp", '#include "peft/base/text.h"'))

    def test_models_and_methods_never_meet(self):
        self.assertTrue(self.faults("peft/methods/lora/layer.cpp", '#include "peft/models/llama/model.h"'))
        self.assertTrue(self.faults("peft/models/llama/model.cpp", '#include "peft/adapter/tag.h"'))

    def test_one_method_never_includes_another(self):
        self.assertTrue(self.faults("peft/methods/lora/layer.cpp", '#include "peft/methods/ia3/layer.h"'))

    def test_a_torch_free_room_stays_so(self):
        self.assertTrue(self.faults("peft/tokenizers/bpe.cpp", "#include <ATen/ATen.h>"))

    def test_a_file_in_no_room_is_found(self):
        self.assertTrue(self.faults("peft/new_room/x.cpp", ""))


class Sizes(unittest.TestCase):
    def test_a_long_file_is_found_unless_it_is_generated(self):
        self.assertTrue(check_sizes.faults_of("peft/base/x.cpp", "\n" * 601))
        self.assertFalse(check_sizes.faults_of("peft/base/x.cpp", "// Made by x, do not edit.\n" + "\n" * 601))

    def test_unfinished_work_and_empty_names_are_found(self):
        self.assertTrue(check_sizes.faults_of("peft/base/x.cpp", "// TO" + "DO: later"))
        self.assertTrue(check_sizes.faults_of("peft/base/utils.cpp", ""))


class Docs(unittest.TestCase):
    def test_comments_may_be_translated_but_code_may_not(self):
        self.assertEqual(check_docs.without_comments("./test   # all"), check_docs.without_comments("./test   # x"))
        self.assertNotEqual(check_docs.without_comments("./test"), check_docs.without_comments("./tests"))


if __name__ == "__main__":
    unittest.main()
