/**
 * ONNX Runtime, which reports nothing to its vendor. Import it from here: an architecture test
 * holds it.
 */
import "./telemetry-off.ts";

export { env, InferenceSession, listSupportedBackends, Tensor } from "onnxruntime-node";
