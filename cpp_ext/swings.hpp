// Feet that swing clear of the floor: what a quantised step has lost of its height.
//
// Codes are averages of many steps, and an average of steps that rise at different moments hardly
// rises at all: decoded feet drag themselves over the floor. A foot that is in no contact and moves
// along the floor is therefore raised as a whole, ankle and toes alike, by what it lacks of the height
// that the toes of recorded dances have at that speed. The lift is a critically damped spring: neither
// height nor speed jumps, and no future frame is looked at.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

namespace bailando {

using Vector = std::array<double, 3>;  // x, y (up), z

// Per frame.
struct SwingConstants {
    double clearance_m;      // height of the toe joint in a full swing; 0 lifts nothing
    double slow_m, fast_m;   // movements along the floor from which on a foot swings, and swings fully
    double rate;             // of the spring
    double contact;          // probability of a contact from which on nothing is lifted: a pinned foot is down
};

// How far a foot is raised above the animation, metres, and its change per frame.
struct Swing {
    double lift, speed;
};

// Go on by one frame. `before` and `now` are the animation's toes, metres, on one root; `contact` is the
// probability that ankle or toes touch the floor.
inline Swing swing(const Swing& foot, const Vector& before, const Vector& now, double contact,
                   const SwingConstants& constants) noexcept {
    const double moved = std::hypot(now[0] - before[0], now[2] - before[2]);
    const double share =
        std::clamp((moved - constants.slow_m) / (constants.fast_m - constants.slow_m), 0.0, 1.0);
    const double lacks = std::max(constants.clearance_m - std::max(now[1], 0.0), 0.0);
    const double goal = lacks * share * std::max(1.0 - contact / constants.contact, 0.0);
    const double decay = std::exp(-constants.rate);
    const double error = foot.lift - goal;
    const double push = foot.speed + constants.rate * error;
    const double lift = goal + (error + push) * decay;
    const double speed = (foot.speed - constants.rate * push) * decay;
    return std::max(lift, std::abs(speed)) < 1e-6 ? Swing{0.0, 0.0} : Swing{lift, speed};
}

}  // namespace bailando
