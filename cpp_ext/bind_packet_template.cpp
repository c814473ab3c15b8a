#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <vector>

#include "bindings.hpp"
#include "packet_template.hpp"

namespace py = pybind11;

namespace bailando {
namespace {

FieldKind field_kind(const std::string& name) {
    if (name == "float") return FieldKind::kFloat;
    if (name == "int") return FieldKind::kInt;
    if (name == "pulse") return FieldKind::kPulse;
    if (name == "frame") return FieldKind::kFrame;
    if (name == "time") return FieldKind::kTime;
    throw py::value_error("unknown kind of field '" + name + "'; expected float, int, pulse, frame or time");
}

PacketTemplate make(const py::bytes& data,
                    const std::vector<std::tuple<std::uint32_t, std::string, std::uint32_t>>& fields,
                    double frame_rate_hz) {
    const std::string text = data;
    std::vector<Field> parsed;
    parsed.reserve(fields.size());
    for (const auto& [offset, kind, index] : fields) parsed.push_back({offset, field_kind(kind), index});
    return PacketTemplate({text.begin(), text.end()}, std::move(parsed), frame_rate_hz);
}

py::bytes patch(PacketTemplate& packet, const FloatArray& values, std::int64_t frame_number, bool repeated) {
    if (values.ndim() != 1 || static_cast<std::size_t>(values.size()) < packet.value_count()) {
        throw py::value_error("expected a vector of at least " + std::to_string(packet.value_count()) +
                              " values, got " + std::to_string(values.size()));
    }
    packet.patch(values.data(), frame_number, repeated);
    const std::vector<std::uint8_t>& bytes = packet.bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void bind_packet_template(py::module_& module) {
    py::class_<PacketTemplate>(module, "PacketTemplate", R"(A datagram built once and patched for every frame.

Fields are (byte offset, kind, index): kind `float` and `int` take the value at index; `pulse` is an int
that is 0 in a repeated frame; `frame` is the frame number and `time` the frame number in seconds.)")
        .def(py::init(&make), py::arg("data"), py::arg("fields"), py::arg("frame_rate_hz") = 60.0)
        .def_property_readonly("value_count", &PacketTemplate::value_count, "How many values `patch` reads.")
        .def("__len__", [](const PacketTemplate& packet) { return packet.bytes().size(); })
        .def("patch", &patch, py::arg("values"), py::arg("frame_number") = 0, py::arg("repeated") = false,
             "Overwrite all fields and return the datagram. Values that are not finite keep what the field held.");
}

}  // namespace bailando
