#pragma once

namespace peft::test {

/// Decompositions of small float32 matrices, against the same routines called by Python: rounding
/// of some products, times the condition of the matrix. Relative to the largest number.
inline constexpr double kFactorTolerance = 2e-5;

}  // namespace peft::test
