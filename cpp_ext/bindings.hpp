// What the binding files share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

namespace bailando {

using FloatArray = pybind11::array_t<float, pybind11::array::c_style | pybind11::array::forcecast>;

void bind_sample_ring(pybind11::module_& module);
void bind_capture(pybind11::module_& module);
void bind_playback(pybind11::module_& module);
void bind_packet_template(pybind11::module_& module);
void bind_output_thread(pybind11::module_& module);
void bind_footholds(pybind11::module_& module);

}  // namespace bailando
