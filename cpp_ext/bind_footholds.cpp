#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "bindings.hpp"
#include "footholds.hpp"

namespace py = pybind11;

namespace bailando {
namespace {

using Numbers = py::array_t<double, py::array::c_style | py::array::forcecast>;

// The bindings copy numbers to and from these.
static_assert(std::is_trivially_copyable_v<HoldState> && sizeof(HoldState) == kHoldNumbers * sizeof(double));

Numbers first_state() {
    const HoldState state;
    Numbers numbers(static_cast<py::ssize_t>(kHoldNumbers));
    std::memcpy(numbers.mutable_data(), &state, sizeof state);
    return numbers;
}

void require(const Numbers& numbers, const std::vector<py::ssize_t>& shape, const char* expected) {
    if (std::vector<py::ssize_t>(numbers.shape(), numbers.shape() + numbers.ndim()) != shape) {
        throw py::value_error(std::string("expected ") + expected);
    }
}

// Copy as many numbers as `place` holds and return where the next ones are.
template <typename Place>
const double* take(Place& place, const double* numbers) noexcept {
    static_assert(std::is_trivially_copyable_v<Place>);
    std::memcpy(&place, numbers, sizeof place);
    return numbers + sizeof place / sizeof(double);
}

// One body through its frames: writes `offsets` and `shifts` of each, leaves in `state` that after the last.
void follow_body(const HoldConstants& constants, HoldState& state, py::ssize_t frames, const double* feet,
                 const double* lows, const double* contacts, double* offsets, double* shifts) noexcept {
    for (py::ssize_t frame = 0; frame < frames; ++frame) {
        FeetFrame now;
        feet = take(now.feet, feet);
        lows = take(now.lows, lows);
        contacts = take(now.contacts, contacts);
        state = advance(state, now, constants);
        for (std::size_t point = 0; point < 4; ++point) {
            Vector offset = state.points[point].offset;
            offset[1] += state.swings[point % 2].lift;
            offsets = std::copy(offset.begin(), offset.end(), offsets);
        }
        shifts = std::copy(state.shift.begin(), state.shift.end(), shifts);
    }
}

py::tuple follow(const HoldConstants& constants, const Numbers& states, const Numbers& feet,
                 const Numbers& lows, const Numbers& contacts) {
    const py::ssize_t bodies = feet.ndim() == 4 ? feet.shape(0) : 0;
    const py::ssize_t frames = feet.ndim() == 4 ? feet.shape(1) : 0;
    require(feet, {bodies, frames, 4, 3}, "feet of shape (N, T, 4, 3)");
    require(states, {bodies, static_cast<py::ssize_t>(kHoldNumbers)}, "one state for each body");
    require(lows, {bodies, frames, 2}, "lows of shape (N, T, 2)");
    require(contacts, {bodies, frames, 4}, "contacts of shape (N, T, 4)");
    Numbers offsets({bodies, frames, py::ssize_t{4}, py::ssize_t{3}});
    Numbers shifts({bodies, frames, py::ssize_t{3}});
    Numbers after({bodies, states.shape(1)});
    for (py::ssize_t body = 0; body < bodies; ++body) {
        HoldState state;
        std::memcpy(static_cast<void*>(&state), states.data(body), sizeof state);
        follow_body(constants, state, frames, feet.data() + body * frames * 12, lows.data() + body * frames * 2,
                    contacts.data() + body * frames * 4, offsets.mutable_data() + body * frames * 12,
                    shifts.mutable_data() + body * frames * 3);
        std::memcpy(after.mutable_data(body), &state, sizeof state);
    }
    return py::make_tuple(offsets, shifts, after);
}

}  // namespace

void bind_footholds(py::module_& module) {
    py::class_<HoldConstants>(module, "Footholds",
                              R"(Pins feet to the floor, lets them go softly, lifts them in swings.

Rates and speeds are per frame; `BodyConfig` of bailando.motion.grounding says what all of them mean.)")
        .def(py::init([](double on, double off, double max_drift_m, double release_rate,
                         double engage_rate, double ankle_m, double root_rate, double root_return,
                         double root_range_m, double swing_clearance_m, double swing_slow_m,
                         double swing_fast_m, double swing_rate) {
                 const SwingConstants swing{swing_clearance_m, swing_slow_m, swing_fast_m, swing_rate, on};
                 return HoldConstants{on,      off,       max_drift_m, release_rate, engage_rate,
                                      ankle_m, root_rate, root_return, root_range_m, swing};
             }),
             py::kw_only(), py::arg("on"), py::arg("off"), py::arg("max_drift_m"), py::arg("release_rate"),
             py::arg("engage_rate"), py::arg("ankle_m"), py::arg("root_rate"), py::arg("root_return"),
             py::arg("root_range_m"), py::arg("swing_clearance_m"), py::arg("swing_slow_m"),
             py::arg("swing_fast_m"), py::arg("swing_rate"))
        .def_static("first_state", &first_state, "The state (S,) of a body before its first frame.")
        .def("follow", &follow, py::arg("states"), py::arg("feet"), py::arg("lows"), py::arg("contacts"),
             R"(Go on by T frames with each of N bodies.

Takes the states (N, S) after the frames before, the animation's left ankle, right ankle, left toes and right
toes (N, T, 4, 3) in metres, how far each foot (left, right) is below the floor (N, T, 2), 0 if it is not, and
the probabilities of the contacts (N, T, 4). Returns how far the points are from the animation on the shifted
root (N, T, 4, 3), the root's shifts (N, T, 3) and the states after.)");
}

}  // namespace bailando
