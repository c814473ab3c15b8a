// Where feet should be: contact points that are pinned to the floor and let go softly.
//
// A contact point (ankle or toes of a foot) is the animation plus an offset. While it is pinned the
// offset is whatever keeps the point in place; once let go, the offset dies out like a critically
// damped spring that starts with the offset's own speed. So neither place nor speed ever jumps. The
// root follows the offsets of pinned feet slowly, so that a drifting root does not stretch legs.
//
// All of it is a recursion over frames on a few numbers, for which calls on arrays cost a hundred times
// the arithmetic.
#pragma once

#include <array>
#include <cstddef>

#include "swings.hpp"

namespace bailando {

// Per frame (see `BodyConfig` of bailando.motion.grounding for what they mean).
struct HoldConstants {
    double on, off;        // probabilities at which a contact starts and ends
    double max_drift_m;
    double release_rate;
    double engage_rate;
    double ankle_m;        // height of the ankle of a flat foot; its toes are on the floor
    double root_rate;
    double root_return;
    double root_range_m;
    SwingConstants swing;
};

// One contact point. Doubles throughout, so that a state is a vector of numbers to Python.
struct Foothold {
    Vector offset{}, velocity{};   // from the animation to the point, metres, and its change per frame
    Vector pin{}, pin_velocity{};  // where the point is held, metres; what is left of its speed on arrival
    double locked = 0.0;           // 1: it is held
    double armed = 1.0;            // 1: it may be; 0 after it was torn away, until the animation is back
};

using Footholds = std::array<Foothold, 4>;  // left ankle, right ankle, left toes, right toes

// All contact points of a body and the shift of its root.
struct HoldState {
    Footholds points{};
    Vector shift{}, shift_velocity{};  // from the animation's root to the root, m, and its change per frame
    std::array<Vector, 4> feet{};      // the animation's points in the last frame, lifted and shifted
    std::array<Swing, 2> swings{};     // of the feet, left and right
    double begun = 0.0;                // 1: there was a last frame
};

inline constexpr std::size_t kHoldNumbers = sizeof(HoldState) / sizeof(double);

// What a frame brings: the animation's contact points, metres; how far each foot is below the floor,
// metres, 0 if it is not; the probability of each contact.
struct FeetFrame {
    std::array<Vector, 4> feet;
    std::array<double, 2> lows;
    std::array<double, 4> contacts;
};

// Go on by one frame.
HoldState advance(const HoldState& state, const FeetFrame& frame, const HoldConstants& constants) noexcept;

}  // namespace bailando
