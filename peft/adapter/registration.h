#pragma once

namespace peft {

/// Teaches libtorch's dispatcher to serve tagged weights: the fallback and the fast roads. Every
/// function that tags calls it; programs may call it early to learn of a conflict. Idempotent and
/// thread-safe; nothing happens at load time, so no linker flag can lose it.
///
/// Throws: UnsupportedError where another library, or a second copy of this one, owns the dispatch
/// key; nothing is registered then, and a later call tries again.
void register_dispatcher();

}  // namespace peft
