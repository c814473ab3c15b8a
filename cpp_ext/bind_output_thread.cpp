#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "clock.hpp"
#include "output_thread.hpp"

namespace py = pybind11;

namespace bailando {
namespace {

void add_output(OutputThread& output, const std::vector<const PacketTemplate*>& packets,
                const std::string& address, std::uint16_t port, std::size_t first_value) {
    std::vector<PacketTemplate> copies;  // the thread patches its own
    copies.reserve(packets.size());
    for (const PacketTemplate* packet : packets) copies.push_back(*packet);
    output.add_output(std::move(copies), address, port, first_value);
}

bool push(OutputThread& output, std::int64_t number, std::int64_t due_ns, const FloatArray& values) {
    if (values.ndim() != 1 || static_cast<std::size_t>(values.size()) != output.value_count()) {
        throw py::value_error("expected a vector of " + std::to_string(output.value_count()) +
                              " values, got " + std::to_string(values.size()));
    }
    return output.push(number, due_ns, values.data());
}

py::dict counters(const OutputThread& output) {
    const OutputCounters& now = output.counters();
    py::dict counts;
    counts["frames"] = now.frames.load();
    counts["datagrams"] = now.datagrams.load();
    counts["send_errors"] = now.send_errors.load();
    counts["refused"] = now.refused.load();
    counts["late"] = now.late.load();
    counts["underruns"] = now.underruns.load();
    counts["stale"] = now.stale.load();
    counts["dropped"] = now.dropped.load();
    counts["queue_full"] = now.queue_full.load();
    counts["non_finite"] = now.non_finite.load();
    counts["last_frame"] = now.last_frame.load();
    counts["max_lateness_ns"] = output.lateness().max_ns();
    return counts;
}

py::array_t<std::int64_t> lateness_histogram(const OutputThread& output) {
    const std::vector<std::size_t> shape{LatenessHistogram::kBuckets, 2};
    py::array_t<std::int64_t> table(shape);
    auto rows = table.mutable_unchecked<2>();
    for (std::size_t bucket = 0; bucket < LatenessHistogram::kBuckets; ++bucket) {
        const auto row = static_cast<py::ssize_t>(bucket);
        rows(row, 0) = LatenessHistogram::lower_bound_ns(bucket);
        rows(row, 1) = static_cast<std::int64_t>(output.lateness().count(bucket));
    }
    return table;
}

}  // namespace

void bind_output_thread(py::module_& module) {
    module.def("now_ns", &now_ns, "Nanoseconds of the monotonic clock that due times refer to.");
    py::class_<OutputThread>(module, "OutputThread", R"(Sends queued frames at their due times from a native thread.

One thread may push. If none is queued when the next frame is due, the last one is repeated.)")
        .def(py::init([](std::size_t value_count, std::size_t capacity_frames, std::int64_t period_ns,
                         std::int64_t late_after_ns, std::int64_t drop_after_ns) {
                 return std::make_unique<OutputThread>(
                     value_count, capacity_frames, OutputTiming{period_ns, late_after_ns, drop_after_ns});
             }),
             py::arg("value_count"), py::arg("capacity_frames") = 64, py::arg("period_ns") = 16'666'667,
             py::arg("late_after_ns") = 8'333'333, py::arg("drop_after_ns") = 100'000'000)
        .def("add_output", &add_output, py::arg("packets"), py::arg("address"), py::arg("port"),
             py::arg("first_value") = 0,
             "Send these packets of every frame to a numeric address; their values start at `first_value`.")
        .def("start", &OutputThread::start, "Start sending.")
        .def("stop", &OutputThread::stop, py::call_guard<py::gil_scoped_release>(),
             "End at once and forget what is queued.")
        .def("finish", &OutputThread::finish, "Let it end by itself after the last queued frame.")
        .def("push", &push, py::arg("number"), py::arg("due_ns"), py::arg("values"),
             "Queue a frame; False if the queue is full. Producer thread.")
        .def_property_readonly("running", &OutputThread::running)
        .def_property_readonly("realtime", &OutputThread::realtime, "Whether real-time priority was granted.")
        .def_property_readonly("queued", &OutputThread::queued, "Frames that wait for their turn.")
        .def_property_readonly("value_count", &OutputThread::value_count)
        .def("counters", &counters, "What happened since construction, by name.")
        .def("lateness_histogram", &lateness_histogram,
             "(buckets, 2) int64: shortest lateness of the bucket in ns, frames in it.");
}

}  // namespace bailando
