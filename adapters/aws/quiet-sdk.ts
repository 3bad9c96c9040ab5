/**
 * The SDK warns at each start that later versions of it will want a newer Node: package-lock.json
 * pins the version, so whoever runs a command can do nothing about it. Read when a client is made;
 * imported before.
 */
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
