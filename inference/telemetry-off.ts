// ONNX Runtime reports to its vendor from 1.29 on, unless this variable is set when the library
// loads: it keeps a device id under ~/.cache/Microsoft and sends events to
// mobile.events.data.microsoft.com.
// https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md Modules are evaluated in the
// order of their imports: import this one before the library. It and adapters/aws/quiet-sdk.ts
// alone write the environment. A worker thread has a copy of the environment that the library does
// not see, so a thread must not be the first to load it.
process.env.ORT_DISABLE_TELEMETRY = "1";
