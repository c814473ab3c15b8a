#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "bindings.hpp"
#include "sample_ring.hpp"

namespace py = pybind11;

namespace bailando {
namespace {

// Frames in an array of shape (frames,) for one channel or (frames, channels).
std::size_t frames_of(const py::array& array, std::size_t channels) {
    const bool flat = array.ndim() == 1 && channels == 1;
    const bool table = array.ndim() == 2 && static_cast<std::size_t>(array.shape(1)) == channels;
    if (!flat && !table) {
        throw py::value_error("expected an array of shape (frames, " + std::to_string(channels) +
                              ")" + (channels == 1 ? " or (frames,)" : ""));
    }
    return static_cast<std::size_t>(array.shape(0));
}

std::size_t write(SampleRing& ring, const FloatArray& samples) {
    return ring.write(samples.data(), frames_of(samples, ring.channels()));
}

std::size_t read_into(SampleRing& ring, py::array_t<float>& out) {  // bound noconvert: no hidden copy
    const std::size_t frames = frames_of(out, ring.channels());
    if ((out.flags() & py::array::c_style) == 0) {
        throw py::value_error("expected a C-contiguous array to read into");
    }
    return ring.read(out.mutable_data(), frames);
}

py::array_t<float> read(SampleRing& ring, std::size_t frames) {
    const std::size_t taken = std::min(frames, ring.available());
    const std::vector<std::size_t> shape{taken, ring.channels()};
    py::array_t<float> out(shape);
    ring.read(out.mutable_data(), taken);
    return out;
}

}  // namespace

void bind_sample_ring(py::module_& module) {
    py::class_<SampleRing>(module, "SampleRing", R"(Lock-free ring of interleaved float32 audio frames.

One thread may write and one other thread may read; neither ever waits.)")
        .def(py::init<std::size_t, std::size_t>(), py::arg("capacity_frames"), py::arg("channels") = 1)
        .def_property_readonly("capacity_frames", &SampleRing::capacity_frames)
        .def_property_readonly("channels", &SampleRing::channels)
        .def_property_readonly("available", &SampleRing::available, "Frames that can be read now.")
        .def_property_readonly("written", &SampleRing::written, "Frames taken since construction.")
        .def_property_readonly("overruns", &SampleRing::overruns,
                               "Frames lost since construction because the ring was full.")
        .def("write", &write, py::arg("samples"),
             "Append frames, shape (frames, channels); returns how many fitted. Producer thread.")
        .def("write_silence", &SampleRing::write_silence, py::arg("frames"),
             "Append frames of zeros; returns how many fitted. Producer thread.")
        .def("read", &read, py::arg("frames"),
             "Take up to `frames` frames, shape (taken, channels). Consumer thread.")
        .def("read_into", &read_into, py::arg("out").noconvert(),
             "Fill the beginning of `out`; returns how many frames there were. Consumer thread.");
}

}  // namespace bailando
