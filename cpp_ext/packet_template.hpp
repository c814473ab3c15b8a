// An OSC datagram built once, whose numbers are overwritten in place for every frame.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bailando {

enum class FieldKind : std::uint8_t {
    kFloat,  // float32, the value at `index`
    kInt,    // int32, the value at `index`, rounded
    kPulse,  // int32 as kInt, but 0 when a frame is repeated: one beat is told once
    kFrame,  // int32, the frame number
    kTime,   // float32, the frame number over the frame rate, seconds
};

struct Field {
    std::uint32_t offset;  // of the first of its 4 bytes in the datagram
    FieldKind kind;
    std::uint32_t index;  // into the frame's values; unused by kFrame and kTime
};

class PacketTemplate {
   public:
    // Any thread, before the patching thread exists. `frame_rate_hz` turns frame numbers into time.
    PacketTemplate(std::vector<std::uint8_t> bytes, std::vector<Field> fields, double frame_rate_hz)
        : bytes_(std::move(bytes)), fields_(std::move(fields)), frame_rate_hz_(frame_rate_hz) {
        if (!(frame_rate_hz > 0.0)) throw std::invalid_argument("the frame rate must be above 0 Hz");
        for (const Field& field : fields_) {
            if (field.offset % 4 != 0 || bytes_.size() < 4 || field.offset > bytes_.size() - 4) {
                throw std::invalid_argument("field at byte " + std::to_string(field.offset) +
                                            " is not an aligned word inside the packet of " +
                                            std::to_string(bytes_.size()) + " bytes");
            }
            if (uses_value(field.kind) && field.index >= value_count_) value_count_ = field.index + 1U;
        }
    }

    // Any thread. How many values `patch` reads.
    std::size_t value_count() const noexcept { return value_count_; }
    const std::vector<std::uint8_t>& bytes() const noexcept { return bytes_; }

    // The patching thread. Overwrites all fields. A value that is not finite is never written: its
    // field keeps what it last held. Returns the number of such values.
    std::size_t patch(const float* values, std::int64_t frame_number, bool repeated) noexcept {
        std::size_t rejected = 0;
        for (const Field& field : fields_) {
            if (uses_value(field.kind) && !std::isfinite(values[field.index])) {
                ++rejected;
                continue;
            }
            store(field.offset, word(field, values, frame_number, repeated));
        }
        return rejected;
    }

   private:
    static bool uses_value(FieldKind kind) noexcept {
        return kind != FieldKind::kFrame && kind != FieldKind::kTime;
    }

    static std::uint32_t float_word(float value) noexcept {
        std::uint32_t bits = 0;
        static_assert(sizeof bits == sizeof value);
        std::memcpy(&bits, &value, sizeof bits);
        return bits;
    }

    static std::uint32_t int_word(float value) noexcept {
        constexpr float kLimit = 2147483520.0F;  // the largest float below 2^31
        const float clipped = value > kLimit ? kLimit : (value < -kLimit ? -kLimit : value);
        return static_cast<std::uint32_t>(static_cast<std::int32_t>(std::lround(clipped)));
    }

    std::uint32_t word(const Field& field, const float* values, std::int64_t frame_number,
                       bool repeated) const noexcept {
        switch (field.kind) {
            case FieldKind::kFloat:
                return float_word(values[field.index]);
            case FieldKind::kInt:
                return int_word(values[field.index]);
            case FieldKind::kPulse:
                return repeated ? 0U : int_word(values[field.index]);
            case FieldKind::kFrame:  // modulo 2^32: OSC has no wider plain integer
                return static_cast<std::uint32_t>(static_cast<std::uint64_t>(frame_number));
            case FieldKind::kTime:
                return float_word(static_cast<float>(static_cast<double>(frame_number) / frame_rate_hz_));
        }
        return 0U;
    }

    void store(std::uint32_t offset, std::uint32_t word) noexcept {  // OSC is big-endian
        std::uint8_t* at = bytes_.data() + offset;
        at[0] = static_cast<std::uint8_t>(word >> 24);
        at[1] = static_cast<std::uint8_t>(word >> 16);
        at[2] = static_cast<std::uint8_t>(word >> 8);
        at[3] = static_cast<std::uint8_t>(word);
    }

    std::vector<std::uint8_t> bytes_;
    std::vector<Field> fields_;
    double frame_rate_hz_;
    std::size_t value_count_ = 0;
};

}  // namespace bailando
