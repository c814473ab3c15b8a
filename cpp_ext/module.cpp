#include <pybind11/pybind11.h>

#include "bindings.hpp"

PYBIND11_MODULE(_native, module) {
    module.doc() =
        "Audio ring, capture callback, packet templates and output thread: no interpreter on the edges; "
        "footholds of the body.";
    module.attr("__version__") = BAILANDO_VERSION;
    bailando::bind_sample_ring(module);
    bailando::bind_capture(module);
    bailando::bind_playback(module);
    bailando::bind_packet_template(module);
    bailando::bind_output_thread(module);
    bailando::bind_footholds(module);
}
