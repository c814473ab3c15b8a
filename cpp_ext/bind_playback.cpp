#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "playback.hpp"

namespace py = pybind11;

namespace bailando {

void bind_playback(py::module_& module) {
    py::class_<Playback>(module, "PlaybackCallback", R"(A PortAudio output callback that never enters the interpreter.

Hand `address` and `userdata` to PortAudio and keep this object alive until the stream is closed.)")
        .def(py::init<SampleRing&, double, std::size_t>(), py::arg("ring"), py::arg("rate_hz"),
             py::arg("channels") = 2, py::keep_alive<1, 2>())
        .def_property_readonly(
            "address",
            [](const Playback&) {
                pa::StreamCallback* const callback = &Playback::callback;
                return reinterpret_cast<std::uintptr_t>(callback);
            },
            "Address of the C function, a PaStreamCallback.")
        .def_property_readonly(
            "userdata", [](const Playback& self) { return reinterpret_cast<std::uintptr_t>(&self); },
            "Address to pass as the callback's user data.")
        .def("set_base_ns", &Playback::set_base_ns, py::arg("base_ns"),
             "Say when sample 0 is to sound, on the monotonic clock; 0 means silence. Any thread.")
        .def_property_readonly("callbacks", &Playback::callbacks, "Blocks asked for.")
        .def_property_readonly("underruns", &Playback::underruns, "Frames of silence for want of samples.")
        .def_property_readonly("skipped", &Playback::skipped, "Samples jumped over, because their time was over.")
        .def_property_readonly("error_ns", &Playback::error_ns,
                               "How late the sound is, the mean of about a second.");
}

}  // namespace bailando
