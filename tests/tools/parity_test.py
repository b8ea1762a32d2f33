"""docs/parity.md: every name of Python PEFT has a mark, and what is said to be there is declared."""
import pathlib
import shutil
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import make_parity  # noqa: E402


class Parity(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for name in ("docs/parity.tsv", "docs/differences.tsv", "docs/parity.md",
                     "tests/tools/golden/python_names.json"):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        (self.root / "peft").symlink_to(ROOT / "peft")

    def tearDown(self):
        self.folder.cleanup()

    def change(self, name, old, new):
        path = self.root / name
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new, 1))

    def faults(self):
        return "\n".join(make_parity.faults_of(self.root))

    def test_the_tables_are_whole_and_the_page_is_current(self):
        self.assertEqual(make_parity.faults_of(ROOT), [])

    def test_a_missing_or_foreign_name_is_found(self):
        self.change("docs/parity.tsv", "peft.PeftModel\t", "peft.PeftMudel\t")
        self.assertIn("peft.PeftModel is missing", self.faults())
        self.assertIn("peft.PeftMudel is not a name of Python PEFT", self.faults())

    def test_a_name_that_is_not_declared_is_found(self):
        self.change("docs/parity.tsv", "`get_peft_model`", "`get_peft_mudel`")
        self.assertIn("no header declares 'get_peft_mudel'", self.faults())

    def test_a_wrong_mark_and_a_missing_issue_are_found(self):
        self.change("docs/parity.tsv", "peft.PeftModel\tworks", "peft.PeftModel\tperfect")
        self.change("docs/parity.tsv", "\tnot yet\tthe issue of the other methods", "\tnot yet\tlater")
        self.assertIn("expected a mark", self.faults())
        self.assertIn("expected the issue", self.faults())

    def test_an_old_page_is_found(self):
        self.change("docs/parity.md", "| mark |", "| Mark |")
        self.assertIn("run tools/make_parity.py", self.faults())


if __name__ == "__main__":
    unittest.main()
