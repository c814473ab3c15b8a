#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "capture.hpp"

namespace py = pybind11;

namespace bailando {
namespace {

py::list take_stamps(Capture& capture) {
    py::list stamps;
    CaptureStamp stamp{};
    while (capture.next_stamp(stamp)) {
        stamps.append(py::make_tuple(stamp.first_frame, stamp.lost_frames, stamp.adc_time_s, stamp.latency_s,
                                     stamp.arrival_ns));
    }
    return stamps;
}

}  // namespace

void bind_capture(py::module_& module) {
    py::class_<Capture>(module, "CaptureCallback", R"(A PortAudio input callback that never enters the interpreter.

Hand `address` and `userdata` to PortAudio and keep this object alive until the stream is closed.)")
        .def(py::init<SampleRing&, std::size_t>(), py::arg("ring"), py::arg("stamp_capacity") = 1024,
             py::keep_alive<1, 2>())
        .def_property_readonly(
            "address",
            [](const Capture&) {
                pa::StreamCallback* const callback = &Capture::callback;
                return reinterpret_cast<std::uintptr_t>(callback);
            },
            "Address of the C function, a PaStreamCallback.")
        .def_property_readonly(
            "userdata", [](const Capture& self) { return reinterpret_cast<std::uintptr_t>(&self); },
            "Address to pass as the callback's user data.")
        .def_property_readonly("callbacks", &Capture::callbacks, "Blocks received.")
        .def_property_readonly("frames", &Capture::frames, "Frames received, lost ones included.")
        .def_property_readonly("input_overflows", &Capture::input_overflows,
                               "Blocks before which PortAudio says that input was lost.")
        .def_property_readonly("missing_input", &Capture::missing_input,
                               "Blocks without data, recorded as silence.")
        .def_property_readonly("lost_stamps", &Capture::lost_stamps, "Stamps that nobody took in time.")
        .def_property_readonly("last_adc_time_s", &Capture::last_adc_time_s,
                               "PortAudio's time of the last block's first frame.")
        .def_property_readonly("last_arrival_ns", &Capture::last_arrival_ns,
                               "Monotonic time at which the last block came; 0 before the first.")
        .def("take_stamps", &take_stamps,
             "Take (first_frame, lost_frames, adc_time_s, latency_s, arrival_ns) of each block since the last call. "
             "Consumer thread.");
}

}  // namespace bailando
