// An independent OPC UA client: browses, reads, subscribes, calls every method, receives every event kind,
// acknowledges and confirms an alarm.
// Usage: node client.js ENDPOINT PLAN. PLAN is JSON: {nodes, browse, events: {node, types, fields}, calls,
// alarm: {name, raised by the calls}, user, security: {mode, policy, certificate, key}}.
// Prints one JSON object; every failure is in it, by name.
"use strict";

const {
    AttributeIds, ClientMonitoredItem, ClientMonitoredItemGroup, ClientSubscription, DataType, MessageSecurityMode,
    NodeClass, OPCUAClient, SecurityPolicy, SimpleAttributeOperand, TimestampsToReturn, Variant, VariantArrayType,
    constructEventFilter, ofType, resolveNodeId,
} = require("node-opcua-client");

const [, , endpoint, planText] = process.argv;
const plan = JSON.parse(planText);

async function argumentsOf(session, methodId, given) {
    const declared = await session.getArgumentDefinition(methodId);
    const inputs = declared.inputArguments || [];
    const found = [];
    for (let i = 0; i < inputs.length; i++) {
        const value = given && i < given.length ? given[i] : undefined;
        found.push(await argument(session, inputs[i], value));
    }
    return found;
}

const BUILT_IN = { 1: false, 6: 0, 7: 0, 12: "", 21: { text: "" } };

async function argument(session, declared, value) {
    const id = declared.dataType;
    if (declared.valueRank >= 1) {
        return new Variant({ dataType: DataType.Variant, arrayType: VariantArrayType.Array, value: value || [] });
    }
    if (id.namespace === 0) {
        const held = value === undefined ? BUILT_IN[id.value] : value;
        return new Variant({ dataType: id.value, value: held });
    }
    const isStructure = await session.read({ nodeId: id, attributeId: AttributeIds.DataTypeDefinition });
    const definition = isStructure.value && isStructure.value.value;
    if (definition && definition.constructor.name === "StructureDefinition") {
        const made = await session.constructExtensionObject(id, value || {});
        return new Variant({ dataType: DataType.ExtensionObject, value: made });
    }
    // A simple type of the model's own is sent as the built-in type that it is derived from.
    return new Variant({ dataType: plan.simple[id.toString()] || DataType.Int32, value: value === undefined ? 0 : value });
}

async function browse(session, nodeId, depth, found) {
    let result = await session.browse({ nodeId, resultMask: 63, nodeClassMask: 0, includeSubtypes: true,
        referenceTypeId: "HierarchicalReferences", browseDirection: 0 });
    for (const reference of result.references || []) {
        const key = reference.nodeId.toString();
        if (found.has(key)) continue;
        found.set(key, NodeClass[reference.nodeClass]);
        if (depth > 0) await browse(session, reference.nodeId, depth - 1, found);
    }
}

async function main() {
    const out = { calls: {}, events: {}, read: {}, subscribed: 0, changes: 0, browsed: 0 };
    const client = OPCUAClient.create({
        endpointMustExist: false,
        ...(plan.security ? { certificateFile: plan.security.certificate, privateKeyFile: plan.security.key } : {}),
        securityMode: MessageSecurityMode[plan.security ? plan.security.mode : "None"],
        securityPolicy: SecurityPolicy[plan.security ? plan.security.policy : "None"],
        connectionStrategy: { maxRetry: 2, initialDelay: 200, maxDelay: 1000 },
        requestedSessionTimeout: 60000,
    });
    await client.connect(endpoint);
    const session = await client.createSession(plan.user);
    const found = new Map();
    await browse(session, resolveNodeId(plan.browse), 8, found);
    out.browsed = found.size;

    for (const name of plan.nodes.slice(0, 20)) {
        const value = await session.read({ nodeId: name, attributeId: AttributeIds.Value });
        out.read[name] = value.statusCode.name;
    }

    const subscription = ClientSubscription.create(session, {
        requestedPublishingInterval: 50, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 20,
        maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 1,
    });
    const seen = new Set();
    const group = ClientMonitoredItemGroup.create(subscription,
        plan.nodes.map((nodeId) => ({ nodeId, attributeId: AttributeIds.Value })),
        { samplingInterval: 50, discardOldest: true, queueSize: 5 }, TimestampsToReturn.Both);
    const all = new Promise((resolve) => {
        group.on("changed", (_item, _value, index) => {
            seen.add(index);
            if (seen.size === plan.nodes.length) resolve();
        });
    });
    await within(all, 20000, `${plan.nodes.length} first values`);
    out.subscribed = seen.size;

    const fields = ["EventType", "Message", ...plan.events.fields];
    const events = ClientMonitoredItem.create(subscription,
        { nodeId: plan.events.node, attributeId: AttributeIds.EventNotifier },
        { samplingInterval: 0, discardOldest: true, queueSize: 50, filter: constructEventFilter(fields) },
        TimestampsToReturn.Both);
    let news = () => {};
    events.on("changed", (values) => {
        const type = values[0].value.toString();
        const held = {};
        fields.forEach((name, i) => { if (values[i].value !== null) held[name] = String(values[i].value); });
        out.events[type] = held;
        news();
    });
    await within(new Promise((resolve) => events.on("initialized", resolve)), 10000, "the event item");

    const alarm = await Alarm.of(subscription, plan.alarm.name);
    for (const call of plan.calls) {
        const methodId = resolveNodeId(call.method);
        const objectId = call.method.slice(0, call.method.lastIndexOf("."));
        const inputArguments = await argumentsOf(session, methodId, call.arguments);
        const result = await session.call({ objectId, methodId, inputArguments });
        const outputs = (result.outputArguments || []).map((v) => v.value);
        const last = outputs.length ? outputs[outputs.length - 1] : null;
        out.calls[call.method] = { status: result.statusCode.name, last: typeof last === "number" ? last : String(last) };
        for (const wanted of call.until) {
            await within(until(session, wanted.node, wanted.value), 20000, `${call.method}: ${wanted.value}`);
        }
    }
    const missing = () => plan.events.types.filter((type) => !(type in out.events));
    if (missing().length) {
        await within(new Promise((resolve) => { news = () => { if (!missing().length) resolve(); }; }), 20000,
            `events ${missing()}`);
    }
    out.alarm = await alarm.dealWith(session, subscription.subscriptionId);
    await subscription.terminate();
    await session.close();
    await client.disconnect();
    return out;
}

const CONDITION_TYPE = "i=2782", REFRESH = "i=3875", ACKNOWLEDGE = "i=9111", CONFIRM = "i=9113";
const ALARM_FIELDS = ["EventType", "EventId", "ConditionName", "Severity", "Retain", "ActiveState.Id", "AckedState.Id",
    "ConfirmedState.Id", "Comment", "ClientUserId"];

// What the server tells of one alarm, to whoever asks for events of type ConditionType or below.
class Alarm {
    constructor(name) {
        this.name = name;
        this.last = null;
        this.news = () => {};
    }

    static async of(subscription, name) {
        const alarm = new Alarm(name);
        const filter = constructEventFilter(ALARM_FIELDS, ofType(CONDITION_TYPE));
        filter.selectClauses.push(new SimpleAttributeOperand({
            typeDefinitionId: resolveNodeId(CONDITION_TYPE), browsePath: [], attributeId: AttributeIds.NodeId,
        }));
        const item = ClientMonitoredItem.create(subscription,
            { nodeId: resolveNodeId("i=2253"), attributeId: AttributeIds.EventNotifier },
            { samplingInterval: 0, discardOldest: true, queueSize: 50, filter }, TimestampsToReturn.Both);
        item.on("changed", (values) => alarm.hear(values.map((held) => held.value)));
        await within(new Promise((resolve, reject) => {
            item.on("initialized", resolve);
            item.on("err", (message) => reject(new Error(message)));
        }), 10000, "the alarms' item");
        return alarm;
    }

    hear(values) {
        const held = Object.fromEntries(ALARM_FIELDS.map((name, i) => [name, values[i]]));
        if (held.ConditionName !== this.name) return;
        this.last = { ...held, conditionId: values[ALARM_FIELDS.length] };
        this.news();
    }

    async when(name, wanted) {
        await within(new Promise((resolve) => {
            this.news = () => { if (this.last && this.last[name] === wanted) resolve(); };
            this.news();
        }), 20000, `${this.name} with ${name} ${wanted}`);
    }

    async call(session, methodId, text) {
        const result = await session.call({
            objectId: this.last.conditionId, methodId: resolveNodeId(methodId),
            inputArguments: [
                new Variant({ dataType: DataType.ByteString, value: this.last.EventId }),
                new Variant({ dataType: DataType.LocalizedText, value: { text } }),
            ],
        });
        return result.statusCode.name;
    }

    async dealWith(session, subscriptionId) {
        await this.when("ActiveState.Id", false);
        const raised = this.last;
        this.last = null;
        const refreshed = await session.call({
            objectId: resolveNodeId(CONDITION_TYPE), methodId: resolveNodeId(REFRESH),
            inputArguments: [new Variant({ dataType: DataType.UInt32, value: subscriptionId })],
        });
        await this.when("AckedState.Id", false);
        const acknowledged = await this.call(session, ACKNOWLEDGE, "seen");
        await this.when("AckedState.Id", true);
        const { Comment: comment, ClientUserId: who } = this.last;
        const confirmed = await this.call(session, CONFIRM, "mended");
        await this.when("ConfirmedState.Id", true);
        return {
            refreshed: refreshed.statusCode.name, acknowledged, comment: comment.text, who, confirmed,
            conditionId: raised.conditionId.toString(), severity: raised.Severity, retain: this.last.Retain,
        };
    }
}

async function until(session, node, wanted) {
    for (;;) {
        const value = await session.read({ nodeId: node, attributeId: AttributeIds.Value });
        if (value.value && value.value.value === wanted) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

function within(promise, ms, what) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms); });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

main().then(
    (out) => { console.log(JSON.stringify(out)); process.exit(0); },
    (error) => { console.log(JSON.stringify({ error: error.message, stack: error.stack })); process.exit(1); },
);
