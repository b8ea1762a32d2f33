#include "peft/formats/gguf_types.h"

#include <array>

#include "peft/formats/gguf_dequant.h"

namespace peft::formats {
namespace {

constexpr std::array kTypes{
    GgufType{0, "F32", 1, 4, false, unpack_f32},
    GgufType{1, "F16", 1, 2, false, unpack_f16},
    GgufType{2, "Q4_0", 32, 18, true, unpack_q4_0},
    GgufType{3, "Q4_1", 32, 20, true, unpack_q4_1},
    GgufType{6, "Q5_0", 32, 22, true, unpack_q5_0},
    GgufType{7, "Q5_1", 32, 24, true, unpack_q5_1},
    GgufType{8, "Q8_0", 32, 34, true, unpack_q8_0},
    GgufType{9, "Q8_1", 32, 40, true},
    GgufType{10, "Q2_K", 256, 84, true, unpack_q2_k},
    GgufType{11, "Q3_K", 256, 110, true, unpack_q3_k},
    GgufType{12, "Q4_K", 256, 144, true, unpack_q4_k},
    GgufType{13, "Q5_K", 256, 176, true, unpack_q5_k},
    GgufType{14, "Q6_K", 256, 210, true, unpack_q6_k},
    GgufType{15, "Q8_K", 256, 292, true},
    GgufType{16, "IQ2_XXS", 256, 66, true},
    GgufType{17, "IQ2_XS", 256, 74, true},
    GgufType{18, "IQ3_XXS", 256, 98, true},
    GgufType{19, "IQ1_S", 256, 50, true},
    GgufType{20, "IQ4_NL", 32, 18, true},
    GgufType{21, "IQ3_S", 256, 110, true},
    GgufType{22, "IQ2_S", 256, 82, true},
    GgufType{23, "IQ4_XS", 256, 136, true},
    GgufType{24, "I8", 1, 1},
    GgufType{25, "I16", 1, 2},
    GgufType{26, "I32", 1, 4},
    GgufType{27, "I64", 1, 8},
    GgufType{28, "F64", 1, 8},
    GgufType{29, "IQ1_M", 256, 56, true},
    GgufType{30, "BF16", 1, 2, false, unpack_bf16},
    GgufType{34, "TQ1_0", 256, 54, true},
    GgufType{35, "TQ2_0", 256, 66, true},
    GgufType{39, "MXFP4", 32, 17, true},
};

}  // namespace

const GgufType* find_gguf_type(uint32_t id) {
  for (const GgufType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

}  // namespace peft::formats
