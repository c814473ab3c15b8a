#include "footholds.hpp"

#include <algorithm>
#include <cmath>

namespace bailando {
namespace {

constexpr double kSettledM = 1e-6;
constexpr double kSettledRootM = 1e-7;

Vector operator+(const Vector& a, const Vector& b) noexcept { return {a[0] + b[0], a[1] + b[1], a[2] + b[2]}; }
Vector operator-(const Vector& a, const Vector& b) noexcept { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }
Vector operator*(const Vector& a, double b) noexcept { return {a[0] * b, a[1] * b, a[2] * b}; }

double length(const Vector& a) noexcept { return std::hypot(a[0], a[1], a[2]); }
double largest(const Vector& a) noexcept {
    return std::max({std::abs(a[0]), std::abs(a[1]), std::abs(a[2])});
}

bool is_locked(const Foothold& point) noexcept { return point.locked != 0.0; }

// Mean offset of the pinned feet; upwards what every foot on the floor agrees on.
Vector wanted_shift(const Footholds& points, const std::array<double, 2>& lows) noexcept {
    double x = 0.0;
    double z = 0.0;
    double least = 0.0;
    double most = 0.0;
    int pinned = 0;
    int grounded = 0;
    for (std::size_t foot = 0; foot < 2; ++foot) {
        const Foothold& ankle = points[foot];
        const Foothold& toes = points[foot + 2];
        const bool stands = is_locked(toes) || is_locked(ankle);
        if (!stands && lows[foot] <= 0.0) continue;
        double rise = lows[foot];
        if (stands) {
            const Vector& offset = is_locked(toes) ? toes.offset : ankle.offset;
            x += offset[0];
            z += offset[2];
            rise = std::max(offset[1], rise);
            ++pinned;
        }
        least = grounded > 0 ? std::min(least, rise) : rise;
        most = grounded > 0 ? std::max(most, rise) : rise;
        ++grounded;
    }
    const double count = std::max(pinned, 1);
    // The rise nearest to none; none at all where the feet disagree.
    const double y = least > 0.0 ? least : std::min(most, 0.0);
    return {x / count, y, z / count};
}

// Shift the root: a damped spring to the pinned feet, slowly back without them.
void follow_feet(HoldState& state, const std::array<double, 2>& lows, const HoldConstants& constants) noexcept {
    const Vector goal = wanted_shift(state.points, lows);
    const double rate = constants.root_rate;
    const double size = std::hypot(state.shift[0], state.shift[2]) / constants.root_range_m;
    const double back = constants.root_return * (1.0 + size * size);
    const Vector leak{back, 8.0 * constants.root_return, back};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const double speed = state.shift_velocity[axis] * (1.0 - 2.0 * rate) + rate * rate * goal[axis];
        const double place = (state.shift[axis] + speed) * (1.0 - leak[axis]);
        const bool settled = std::abs(place) < kSettledRootM && std::abs(speed) < kSettledRootM;
        state.shift[axis] = settled ? 0.0 : place;
        state.shift_velocity[axis] = settled ? 0.0 : speed;
    }
}

// Engage, keep or let go one point; a free one keeps its old offset.
Foothold hold(const Foothold& point, const Vector& before, const Vector& now, double contact, double stand_m,
              const HoldConstants& constants) noexcept {
    Foothold next = point;
    next.locked = 0.0;
    const bool near = length(point.offset) < 0.25 * constants.max_drift_m;
    if (contact < constants.off || near) next.armed = 1.0;
    const bool wanted = contact >= (is_locked(point) ? constants.off : constants.on);
    if (!wanted || next.armed == 0.0) return next;
    Vector pin = point.pin;
    Vector speed = point.pin_velocity;
    if (!is_locked(point)) {
        pin = before + point.offset;
        speed = now - before + point.velocity;
    }
    speed = speed * (1.0 - constants.engage_rate);
    pin = pin + speed;
    pin[1] += (stand_m - pin[1]) * constants.engage_rate;
    const Vector offset = pin - now;
    if (length(offset) > constants.max_drift_m) {
        next.armed = 0.0;
        return next;
    }
    return {offset, offset - point.offset, pin, speed, 1.0, 1.0};
}

// Let the offset of a free point die out, or join that of the same foot's pinned point.
Foothold release(const Foothold& point, const Foothold& partner, double rate) noexcept {
    const Vector none{};
    const Vector& goal = is_locked(partner) ? partner.offset : none;
    const Vector& drift = is_locked(partner) ? partner.velocity : none;
    const double decay = std::exp(-rate);
    const Vector error = point.offset - (goal - drift);
    const Vector change = point.velocity - drift;
    const Vector push = change + error * rate;
    Foothold next = point;
    next.offset = goal + (error + push) * decay;
    next.velocity = drift + (change - push * rate) * decay;
    if (std::max(largest(next.offset), largest(next.velocity)) < kSettledM) next.offset = next.velocity = none;
    return next;
}

}  // namespace

HoldState advance(const HoldState& state, const FeetFrame& frame, const HoldConstants& constants) noexcept {
    HoldState next = state;
    // The root's shift has lifted the feet already.
    std::array<double, 2> lows = frame.lows;
    for (double& low : lows) low = std::max(low - state.shift[1], 0.0);
    follow_feet(next, lows, constants);
    for (std::size_t i = 0; i < 4; ++i) next.feet[i] = frame.feet[i] + next.shift;
    const std::array<Vector, 4> before = state.begun != 0.0 ? state.feet : next.feet;
    for (std::size_t foot = 0; foot < 2; ++foot) {
        const double contact = std::max(frame.contacts[foot], frame.contacts[foot + 2]);
        next.swings[foot] =
            swing(state.swings[foot], before[foot + 2], next.feet[foot + 2], contact, constants.swing);
    }
    Footholds held;
    for (std::size_t i = 0; i < 4; ++i) {
        next.feet[i][1] += next.swings[i % 2].lift;
        const double stand_m = i < 2 ? constants.ankle_m : 0.0;
        held[i] = hold(state.points[i], before[i], next.feet[i], frame.contacts[i], stand_m, constants);
    }
    for (std::size_t i = 0; i < 4; ++i) {
        next.points[i] = is_locked(held[i]) ? held[i] : release(held[i], held[i ^ 2], constants.release_rate);
    }
    next.begun = 1.0;
    return next;
}

}  // namespace bailando
