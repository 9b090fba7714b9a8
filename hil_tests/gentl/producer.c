/* A GenTL producer with simulated cameras, for rigs and tests: any GenTL consumer can open it. Build: make -C hil_tests/gentl
 *
 * One system, one interface, a few devices with one stream each. Handles are pointers to the objects below; every entry
 * checks what it is given. The cameras themselves: camera.c; their node map: nodemap.c. */
#define _GNU_SOURCE
#include "camera.h"
#include "gentl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef enum { K_SYSTEM = 0x4C47, K_INTERFACE, K_DEVICE, K_REMOTE, K_STREAM, K_EVENT } Kind;
typedef struct { Kind kind; Camera *camera; uint32_t opening; } Handle;

#define SYSTEM_ID "linegate-sim"
#define INTERFACE_ID "linegate-sim-0"
#define STREAM_ID "stream-0"

static Camera cameras[MAX_CAMERAS];
static int camera_count;
static bool initialised;
static Handle system_handle = {K_SYSTEM, NULL, 0}, interface_handle = {K_INTERFACE, NULL, 0};
static Handle devices[MAX_CAMERAS], remotes[MAX_CAMERAS], streams[MAX_CAMERAS], events[MAX_CAMERAS];
static bool listed[MAX_CAMERAS];
static __thread GC_ERROR last_error;
static __thread char last_text[128];

static GC_ERROR fail(GC_ERROR code, const char *text)
{
    last_error = code;
    snprintf(last_text, sizeof last_text, "%s", text);
    return code;
}

/* Lets every call stand still while the camera is told to hang, as a driver that is stuck does. */
static void maybe_hang(Camera *c)
{
    while (c && now_ns() < c->hang_until) {
        struct timespec nap = {0, 5000000};
        nanosleep(&nap, NULL);
    }
}

static Handle *check(void *handle, Kind kind)
{
    Handle *h = handle;
    if (!initialised || !h) return NULL;
    bool ours = h == &system_handle || h == &interface_handle;
    for (int i = 0; i < camera_count && !ours; i++)
        ours = h == &devices[i] || h == &remotes[i] || h == &streams[i] || h == &events[i];
    return ours && h->kind == kind ? h : NULL;
}

#define NEED(name, value, kind) \
    Handle *name = check(value, kind); \
    if (!name) return fail(initialised ? GC_ERR_INVALID_HANDLE : GC_ERR_NOT_INITIALIZED, "invalid handle"); \
    maybe_hang(name->camera)

#define WANT(pointer) \
    if (!(pointer)) return fail(GC_ERR_INVALID_PARAMETER, "no place for the answer, or no name")

/* --- answering in the standard's way: type, then size, then value ---------------------------------------------- */

static GC_ERROR give(int32_t *type, void *buffer, size_t *size, int32_t kind, const void *value, size_t length)
{
    if (!size) return fail(GC_ERR_INVALID_PARAMETER, "no size");
    if (type) *type = kind;
    if (buffer) {
        if (*size < length) return fail(GC_ERR_BUFFER_TOO_SMALL, "buffer too small");
        memcpy(buffer, value, length);
    }
    *size = length;
    return GC_ERR_SUCCESS;
}

static GC_ERROR give_text(int32_t *t, void *b, size_t *s, const char *text) { return give(t, b, s, TYPE_STRING, text, strlen(text) + 1); }
static GC_ERROR give_u32(int32_t *t, void *b, size_t *s, uint32_t v) { return give(t, b, s, TYPE_UINT32, &v, 4); }
static GC_ERROR give_i32(int32_t *t, void *b, size_t *s, int32_t v) { return give(t, b, s, TYPE_INT32, &v, 4); }
static GC_ERROR give_u64(int32_t *t, void *b, size_t *s, uint64_t v) { return give(t, b, s, TYPE_UINT64, &v, 8); }
static GC_ERROR give_size(int32_t *t, void *b, size_t *s, size_t v) { return give(t, b, s, TYPE_SIZET, &v, sizeof v); }
static GC_ERROR give_bool(int32_t *t, void *b, size_t *s, bool v) { bool8_t w = v; return give(t, b, s, TYPE_BOOL8, &w, 1); }
static GC_ERROR give_ptr(int32_t *t, void *b, size_t *s, void *v) { return give(t, b, s, TYPE_PTR, &v, sizeof v); }

/* --- library ---------------------------------------------------------------------------------------------------- */

GENTL GCInitLib(void)
{
    if (initialised) return fail(GC_ERR_RESOURCE_IN_USE, "already initialised");
    camera_count = camera_list(cameras);
    for (int i = 0; i < camera_count; i++) {
        devices[i] = (Handle){K_DEVICE, &cameras[i], 0};
        remotes[i] = (Handle){K_REMOTE, &cameras[i], 0};
        streams[i] = (Handle){K_STREAM, &cameras[i], 0};
        events[i] = (Handle){K_EVENT, &cameras[i], 0};
    }
    initialised = true;
    return GC_ERR_SUCCESS;
}

GENTL GCCloseLib(void)
{
    if (!initialised) return fail(GC_ERR_NOT_INITIALIZED, "not initialised");
    for (int i = 0; i < camera_count; i++) camera_forget(&cameras[i]);
    memset(listed, 0, sizeof listed);
    initialised = false;
    return GC_ERR_SUCCESS;
}

GENTL GCGetLastError(GC_ERROR *code, char *text, size_t *size)
{
    if (!code || !size) return GC_ERR_INVALID_PARAMETER;
    *code = last_error;
    return give_text(NULL, text, size, last_text);
}

static GC_ERROR system_info(int32_t cmd, int32_t *t, void *b, size_t *s)
{
    switch (cmd) {
    case TL_INFO_ID: case TL_INFO_NAME: return give_text(t, b, s, SYSTEM_ID);
    case TL_INFO_VENDOR: return give_text(t, b, s, "Linegate");
    case TL_INFO_MODEL: case TL_INFO_DISPLAYNAME: return give_text(t, b, s, "Linegate simulated cameras");
    case TL_INFO_VERSION: return give_text(t, b, s, "1.0");
    case TL_INFO_TLTYPE: return give_text(t, b, s, "Custom");
    case TL_INFO_PATHNAME: return give_text(t, b, s, "linegate_sim.cti");
    case TL_INFO_CHAR_ENCODING: return give_i32(t, b, s, 1);
    case TL_INFO_GENTL_VER_MAJOR: return give_u32(t, b, s, 1);
    case TL_INFO_GENTL_VER_MINOR: return give_u32(t, b, s, 5);
    default: return fail(GC_ERR_NOT_AVAILABLE, "no such fact of the system");
    }
}

GENTL GCGetInfo(int32_t cmd, int32_t *t, void *b, size_t *s) { return system_info(cmd, t, b, s); }

/* --- ports ------------------------------------------------------------------------------------------------------ */

static GC_ERROR port(void *handle, Handle **found)
{
    for (Kind kind = K_SYSTEM; kind <= K_STREAM; kind++)
        if ((*found = check(handle, kind))) {
            maybe_hang((*found)->camera);
            return GC_ERR_SUCCESS;
        }
    return fail(GC_ERR_INVALID_HANDLE, "no port");
}

static bool stale(Handle *h) { return h->camera && h->opening != h->camera->serial_of_opening; }

GENTL GCReadPort(void *handle, uint64_t address, void *bytes, size_t *size)
{
    Handle *h;
    GC_ERROR code = port(handle, &h);
    if (code) return code;
    if (!bytes || !size) return fail(GC_ERR_INVALID_PARAMETER, "no buffer");
    if (h->kind == K_REMOTE) {
        code = stale(h) ? GC_ERR_IO : camera_read(h->camera, address, bytes, *size);
        return code ? fail(code, "the camera does not answer or has no such register") : code;
    }
    size_t length = strlen(module_xml());
    if (address < XML_ADDRESS || address - XML_ADDRESS > length) return fail(GC_ERR_INVALID_ADDRESS, "no such register");
    size_t from = (size_t)(address - XML_ADDRESS);
    memset(bytes, 0, *size);
    memcpy(bytes, module_xml() + from, *size < length - from ? *size : length - from);
    return GC_ERR_SUCCESS;
}

GENTL GCWritePort(void *handle, uint64_t address, const void *bytes, size_t *size)
{
    Handle *h;
    GC_ERROR code = port(handle, &h);
    if (code) return code;
    if (!bytes || !size) return fail(GC_ERR_INVALID_PARAMETER, "no buffer");
    if (h->kind != K_REMOTE) return fail(GC_ERR_ACCESS_DENIED, "read only");
    code = stale(h) ? GC_ERR_IO : camera_write(h->camera, address, bytes, *size);
    return code ? fail(code, code == GC_ERR_INVALID_VALUE ? "value out of range" : "not writable now, or gone") : code;
}

static GC_ERROR stacked(void *handle, PORT_REGISTER_STACK_ENTRY *entries, size_t *count, bool writing)
{
    if (!entries || !count) return fail(GC_ERR_INVALID_PARAMETER, "no entries");
    for (size_t i = 0; i < *count; i++) {
        size_t size = entries[i].size;
        GC_ERROR code = writing ? GCWritePort(handle, entries[i].address, entries[i].buffer, &size)
                                : GCReadPort(handle, entries[i].address, entries[i].buffer, &size);
        if (code) {
            *count = i;
            return code;
        }
    }
    return GC_ERR_SUCCESS;
}

GENTL GCReadPortStacked(void *h, PORT_REGISTER_STACK_ENTRY *e, size_t *n) { return stacked(h, e, n, false); }
GENTL GCWritePortStacked(void *h, PORT_REGISTER_STACK_ENTRY *e, size_t *n) { return stacked(h, e, n, true); }

static const char *port_name(Handle *h)
{
    static const char *names[] = {"TLPort", "InterfacePort", "DevicePort", "Device", "StreamPort"};
    return names[h->kind - K_SYSTEM];
}

GENTL GCGetPortInfo(void *handle, int32_t cmd, int32_t *t, void *b, size_t *s)
{
    static const char *modules[] = {"TLSystem", "TLInterface", "TLDevice", "Device", "TLDataStream"};
    Handle *h;
    GC_ERROR code = port(handle, &h);
    if (code) return code;
    switch (cmd) {
    case PORT_INFO_ID: return give_text(t, b, s, h->camera ? h->camera->serial : SYSTEM_ID);
    case PORT_INFO_VENDOR: return give_text(t, b, s, "Linegate");
    case PORT_INFO_MODEL: return give_text(t, b, s, "Simulated GenTL camera");
    case PORT_INFO_TLTYPE: return give_text(t, b, s, "Custom");
    case PORT_INFO_MODULE: return give_text(t, b, s, modules[h->kind - K_SYSTEM]);
    case PORT_INFO_LITTLE_ENDIAN: case PORT_INFO_ACCESS_READ: return give_bool(t, b, s, true);
    case PORT_INFO_ACCESS_WRITE: return give_bool(t, b, s, h->kind == K_REMOTE);
    case PORT_INFO_BIG_ENDIAN: case PORT_INFO_ACCESS_NA: case PORT_INFO_ACCESS_NI: return give_bool(t, b, s, false);
    case PORT_INFO_VERSION: return give_text(t, b, s, "1.0");
    case PORT_INFO_PORTNAME: return give_text(t, b, s, port_name(h));
    default: return fail(GC_ERR_NOT_AVAILABLE, "no such fact of the port");
    }
}

static void url(Handle *h, char *text, size_t size)
{
    const char *xml = h->kind == K_REMOTE ? device_xml() : module_xml();
    snprintf(text, size, "local:linegate_%s.xml;%X;%zX", h->kind == K_REMOTE ? "device" : "module", XML_ADDRESS, strlen(xml));
}

GENTL GCGetNumPortURLs(void *handle, uint32_t *count)
{
    Handle *h;
    GC_ERROR code = port(handle, &h);
    if (!code && count) *count = 1;
    return code;
}

GENTL GCGetPortURL(void *handle, char *text, size_t *size)
{
    Handle *h;
    char where[96];
    GC_ERROR code = port(handle, &h);
    if (code) return code;
    url(h, where, sizeof where);
    return give_text(NULL, text, size, where);
}

GENTL GCGetPortURLInfo(void *handle, uint32_t index, int32_t cmd, int32_t *t, void *b, size_t *s)
{
    Handle *h;
    char where[96];
    GC_ERROR code = port(handle, &h);
    if (code) return code;
    if (index) return fail(GC_ERR_INVALID_INDEX, "one URL only");
    url(h, where, sizeof where);
    switch (cmd) {
    case URL_INFO_URL: return give_text(t, b, s, where);
    case URL_INFO_SCHEMA_VER_MAJOR: case URL_INFO_SCHEMA_VER_MINOR: case URL_INFO_FILE_VER_MAJOR: return give_i32(t, b, s, 1);
    case URL_INFO_FILE_VER_MINOR: case URL_INFO_FILE_VER_SUBMINOR: return give_i32(t, b, s, 0);
    case URL_INFO_FILE_REGISTER_ADDRESS: return give_u64(t, b, s, XML_ADDRESS);
    case URL_INFO_FILE_SIZE: return give_u64(t, b, s, strlen(h->kind == K_REMOTE ? device_xml() : module_xml()));
    case URL_INFO_SCHEME: return give_i32(t, b, s, 0);
    case URL_INFO_FILENAME: return give_text(t, b, s, h->kind == K_REMOTE ? "linegate_device.xml" : "linegate_module.xml");
    default: return fail(GC_ERR_NOT_AVAILABLE, "no such fact of the URL");
    }
}

/* --- system and interface --------------------------------------------------------------------------------------- */

GENTL TLOpen(void **handle)
{
    WANT(handle);
    if (!initialised) return fail(GC_ERR_NOT_INITIALIZED, "not initialised");
    *handle = &system_handle;
    return GC_ERR_SUCCESS;
}

GENTL TLClose(void *handle) { NEED(h, handle, K_SYSTEM); return GC_ERR_SUCCESS; }
GENTL TLGetInfo(void *handle, int32_t cmd, int32_t *t, void *b, size_t *s) { NEED(h, handle, K_SYSTEM); return system_info(cmd, t, b, s); }
GENTL TLGetNumInterfaces(void *handle, uint32_t *count) { NEED(h, handle, K_SYSTEM); WANT(count); *count = 1; return GC_ERR_SUCCESS; }

GENTL TLGetInterfaceID(void *handle, uint32_t index, char *id, size_t *size)
{
    NEED(h, handle, K_SYSTEM);
    return index ? fail(GC_ERR_INVALID_INDEX, "one interface only") : give_text(NULL, id, size, INTERFACE_ID);
}

static GC_ERROR interface_info(int32_t cmd, int32_t *t, void *b, size_t *s)
{
    switch (cmd) {
    case INTERFACE_INFO_ID: case INTERFACE_INFO_DISPLAYNAME: return give_text(t, b, s, INTERFACE_ID);
    case INTERFACE_INFO_TLTYPE: return give_text(t, b, s, "Custom");
    default: return fail(GC_ERR_NOT_AVAILABLE, "no such fact of the interface");
    }
}

GENTL TLGetInterfaceInfo(void *handle, const char *id, int32_t cmd, int32_t *t, void *b, size_t *s)
{
    NEED(h, handle, K_SYSTEM);
    WANT(id);
    return strcmp(id, INTERFACE_ID) ? fail(GC_ERR_INVALID_ID, id) : interface_info(cmd, t, b, s);
}

GENTL TLOpenInterface(void *handle, const char *id, void **interface)
{
    NEED(h, handle, K_SYSTEM);
    WANT(id && interface);
    if (strcmp(id, INTERFACE_ID)) return fail(GC_ERR_INVALID_ID, id);
    *interface = &interface_handle;
    return GC_ERR_SUCCESS;
}

GENTL TLUpdateInterfaceList(void *handle, bool8_t *changed, uint64_t timeout)
{
    NEED(h, handle, K_SYSTEM);
    (void)timeout;
    if (changed) *changed = 0;
    return GC_ERR_SUCCESS;
}

GENTL IFClose(void *handle) { NEED(h, handle, K_INTERFACE); return GC_ERR_SUCCESS; }
GENTL IFGetInfo(void *handle, int32_t cmd, int32_t *t, void *b, size_t *s) { NEED(h, handle, K_INTERFACE); return interface_info(cmd, t, b, s); }
GENTL IFGetParentTL(void *handle, void **system) { NEED(h, handle, K_INTERFACE); WANT(system); *system = &system_handle; return GC_ERR_SUCCESS; }

GENTL IFUpdateDeviceList(void *handle, bool8_t *changed, uint64_t timeout)
{
    NEED(h, handle, K_INTERFACE);
    (void)timeout;
    bool different = false;
    for (int i = 0; i < camera_count; i++) {
        different = different || listed[i] != cameras[i].plugged;
        listed[i] = cameras[i].plugged;
    }
    if (changed) *changed = different;
    return GC_ERR_SUCCESS;
}

static Camera *nth(uint32_t index)
{
    for (int i = 0; i < camera_count; i++)
        if (listed[i] && !index--) return &cameras[i];
    return NULL;
}

static Camera *by_id(const char *id)
{
    for (int i = 0; i < camera_count; i++)
        if (listed[i] && id && !strcmp(cameras[i].serial, id)) return &cameras[i];
    return NULL;
}

GENTL IFGetNumDevices(void *handle, uint32_t *count)
{
    NEED(h, handle, K_INTERFACE);
    WANT(count);
    *count = 0;
    for (int i = 0; i < camera_count; i++) *count += listed[i];
    return GC_ERR_SUCCESS;
}

GENTL IFGetDeviceID(void *handle, uint32_t index, char *id, size_t *size)
{
    NEED(h, handle, K_INTERFACE);
    Camera *c = nth(index);
    return c ? give_text(NULL, id, size, c->serial) : fail(GC_ERR_INVALID_INDEX, "no such device");
}

static GC_ERROR device_info(Camera *c, int32_t cmd, int32_t *t, void *b, size_t *s)
{
    char name[64];
    switch (cmd) {
    case DEVICE_INFO_ID: case DEVICE_INFO_SERIAL_NUMBER: return give_text(t, b, s, c->serial);
    case DEVICE_INFO_VENDOR: return give_text(t, b, s, "Linegate");
    case DEVICE_INFO_MODEL: return give_text(t, b, s, "Simulated GenTL camera");
    case DEVICE_INFO_TLTYPE: return give_text(t, b, s, "Custom");
    case DEVICE_INFO_DISPLAYNAME:
        snprintf(name, sizeof name, "Simulated GenTL camera (%s)", c->serial);
        return give_text(t, b, s, name);
    case DEVICE_INFO_USER_DEFINED_NAME: return give_text(t, b, s, (const char *)c->registers + R_USER_ID - R_START);
    case DEVICE_INFO_VERSION: return give_text(t, b, s, "1.0");
    case DEVICE_INFO_TIMESTAMP_FREQUENCY: return give_u64(t, b, s, 1000000000u);
    case DEVICE_INFO_ACCESS_STATUS:
        return give_i32(t, b, s, !c->plugged ? ACCESS_STATUS_NOACCESS : c->open ? ACCESS_STATUS_OPEN_READWRITE : ACCESS_STATUS_READWRITE);
    default: return fail(GC_ERR_NOT_AVAILABLE, "no such fact of the device");
    }
}

GENTL IFGetDeviceInfo(void *handle, const char *id, int32_t cmd, int32_t *t, void *b, size_t *s)
{
    NEED(h, handle, K_INTERFACE);
    Camera *c = by_id(id);
    return c ? device_info(c, cmd, t, b, s) : fail(GC_ERR_INVALID_ID, "no such device");
}

GENTL IFOpenDevice(void *handle, const char *id, int32_t flags, void **device)
{
    NEED(h, handle, K_INTERFACE);
    WANT(device);
    (void)flags;
    Camera *c = by_id(id);
    if (!c) return fail(GC_ERR_INVALID_ID, "no such device");
    if (!c->plugged) return fail(GC_ERR_NOT_AVAILABLE, "the device is not there");
    if (c->open) return fail(GC_ERR_RESOURCE_IN_USE, "the device is open already");
    /* One process for each camera: only who has it open hears of its edges. */
    if (!c->ears_alive) camera_listen(c);
    c->open = true;
    *device = &devices[c - cameras];
    devices[c - cameras].opening = remotes[c - cameras].opening = streams[c - cameras].opening = c->serial_of_opening;
    return GC_ERR_SUCCESS;
}

/* --- device ------------------------------------------------------------------------------------------------------ */

GENTL DSClose(void *handle);

GENTL DevClose(void *handle)
{
    NEED(h, handle, K_DEVICE);
    if (h->camera->stream.open) DSClose(&streams[h->camera - cameras]);
    h->camera->open = h->camera->running = false;
    return GC_ERR_SUCCESS;
}

GENTL DevGetInfo(void *handle, int32_t cmd, int32_t *t, void *b, size_t *s) { NEED(h, handle, K_DEVICE); return device_info(h->camera, cmd, t, b, s); }
GENTL DevGetParentIF(void *handle, void **interface) { NEED(h, handle, K_DEVICE); WANT(interface); *interface = &interface_handle; return GC_ERR_SUCCESS; }
GENTL DevGetPort(void *handle, void **remote) { NEED(h, handle, K_DEVICE); WANT(remote); *remote = &remotes[h->camera - cameras]; return GC_ERR_SUCCESS; }
GENTL DevGetNumDataStreams(void *handle, uint32_t *count) { NEED(h, handle, K_DEVICE); WANT(count); *count = 1; return GC_ERR_SUCCESS; }

GENTL DevGetDataStreamID(void *handle, uint32_t index, char *id, size_t *size)
{
    NEED(h, handle, K_DEVICE);
    return index ? fail(GC_ERR_INVALID_INDEX, "one stream only") : give_text(NULL, id, size, STREAM_ID);
}

GENTL DevOpenDataStream(void *handle, const char *id, void **stream)
{
    NEED(h, handle, K_DEVICE);
    WANT(id && stream);
    Camera *c = h->camera;
    if (strcmp(id, STREAM_ID)) return fail(GC_ERR_INVALID_ID, id);
    if (c->stream.open) return fail(GC_ERR_RESOURCE_IN_USE, "the stream is open already");
    c->stream.open = true;
    c->stream.delivered = c->stream.underrun = c->stream.started = c->stream.fired = 0;
    *stream = &streams[c - cameras];
    return GC_ERR_SUCCESS;
}

/* --- stream and buffers ------------------------------------------------------------------------------------------ */

GENTL DSStopAcquisition(void *handle, int32_t flags)
{
    NEED(h, handle, K_STREAM);
    (void)flags;
    Stream *s = &h->camera->stream;
    if (!s->grabbing) return fail(GC_ERR_RESOURCE_IN_USE, "not grabbing");
    s->grabbing = false;
    camera_halt(h->camera);
    return stale(h) ? fail(GC_ERR_IO, "the camera is gone") : GC_ERR_SUCCESS;
}

GENTL DSStartAcquisition(void *handle, int32_t flags, uint64_t frames)
{
    NEED(h, handle, K_STREAM);
    (void)flags, (void)frames;
    Stream *s = &h->camera->stream;
    if (stale(h)) return fail(GC_ERR_IO, "the camera is gone");
    if (s->grabbing) return fail(GC_ERR_RESOURCE_IN_USE, "grabbing already");
    s->grabbing = true;
    s->started++;
    camera_run(h->camera);
    return GC_ERR_SUCCESS;
}

static void forget_queues(Stream *s)
{
    for (int i = 0; i < s->announced; i++) s->buffers[i]->queued = s->buffers[i]->delivered = false;
    s->inputs = s->outputs = 0;
}

static Buffer *known(Stream *s, void *handle)
{
    for (int i = 0; i < s->announced; i++)
        if (s->buffers[i] == handle) return s->buffers[i];
    return NULL;
}

static GC_ERROR announce(Stream *s, void *memory, size_t size, void *user, bool owned, void **handle)
{
    Buffer *b = s->announced < MAX_BUFFERS && memory ? calloc(1, sizeof *b) : NULL;
    if (!b) return fail(GC_ERR_RESOURCE_EXHAUSTED, "no room for another buffer");
    b->memory = memory, b->size = size, b->user = user, b->owned = owned;
    pthread_mutex_lock(&s->lock);
    s->buffers[s->announced++] = b;
    pthread_mutex_unlock(&s->lock);
    *handle = b;
    return GC_ERR_SUCCESS;
}

GENTL DSAnnounceBuffer(void *handle, void *memory, size_t size, void *user, void **buffer)
{
    NEED(h, handle, K_STREAM);
    WANT(memory && buffer);
    return announce(&h->camera->stream, memory, size, user, false, buffer);
}

GENTL DSAllocAndAnnounceBuffer(void *handle, size_t size, void *user, void **buffer)
{
    NEED(h, handle, K_STREAM);
    WANT(buffer);
    void *memory = calloc(1, size + 8);
    GC_ERROR code = announce(&h->camera->stream, memory, size, user, true, buffer);
    if (code) free(memory);
    return code;
}

GENTL DSRevokeBuffer(void *handle, void *buffer, void **memory, void **user)
{
    NEED(h, handle, K_STREAM);
    Stream *s = &h->camera->stream;
    pthread_mutex_lock(&s->lock);
    Buffer *b = known(s, buffer);
    if (!b || b->queued || b->acquiring) {
        pthread_mutex_unlock(&s->lock);
        return fail(b ? GC_ERR_BUSY : GC_ERR_INVALID_BUFFER, "unknown, queued or being filled");
    }
    for (int i = 0; i < s->announced; i++)
        if (s->buffers[i] == b) s->buffers[i] = s->buffers[--s->announced];
    for (int i = 0; i < s->outputs; i++)
        if (s->output[i] == b) memmove(s->output + i, s->output + i + 1, sizeof *s->output * (size_t)(--s->outputs - i));
    pthread_mutex_unlock(&s->lock);
    if (memory) *memory = b->owned ? NULL : b->memory;
    if (user) *user = b->user;
    if (b->owned) free(b->memory);
    free(b);
    return GC_ERR_SUCCESS;
}

GENTL DSQueueBuffer(void *handle, void *buffer)
{
    NEED(h, handle, K_STREAM);
    Stream *s = &h->camera->stream;
    pthread_mutex_lock(&s->lock);
    Buffer *b = known(s, buffer);
    bool fits = b && !b->queued && !b->acquiring && !b->delivered;
    if (fits) {
        b->queued = true;
        s->input[s->inputs++] = b;
    }
    pthread_mutex_unlock(&s->lock);
    return fits ? GC_ERR_SUCCESS : fail(b ? GC_ERR_RESOURCE_IN_USE : GC_ERR_INVALID_BUFFER, "unknown or in use");
}

GENTL DSFlushQueue(void *handle, int32_t what)
{
    NEED(h, handle, K_STREAM);
    Stream *s = &h->camera->stream;
    pthread_mutex_lock(&s->lock);
    switch (what) {
    case ACQ_QUEUE_ALL_DISCARD: forget_queues(s); break;
    case ACQ_QUEUE_OUTPUT_DISCARD:
        for (int i = 0; i < s->outputs; i++) s->output[i]->delivered = false;
        s->outputs = 0;
        break;
    case ACQ_QUEUE_INPUT_TO_OUTPUT:
        for (int i = 0; i < s->inputs; i++) {
            s->input[i]->queued = false, s->input[i]->delivered = true, s->input[i]->filled = 0;
            s->output[s->outputs++] = s->input[i];
        }
        s->inputs = 0;
        break;
    case ACQ_QUEUE_ALL_TO_INPUT: case ACQ_QUEUE_UNQUEUED_TO_INPUT:
        if (what == ACQ_QUEUE_ALL_TO_INPUT) forget_queues(s);
        for (int i = 0; i < s->announced; i++)
            if (!s->buffers[i]->queued && !s->buffers[i]->acquiring && !s->buffers[i]->delivered) {
                s->buffers[i]->queued = true;
                s->input[s->inputs++] = s->buffers[i];
            }
        break;
    default:
        pthread_mutex_unlock(&s->lock);
        return fail(GC_ERR_INVALID_PARAMETER, "no such flush");
    }
    pthread_mutex_unlock(&s->lock);
    return GC_ERR_SUCCESS;
}

GENTL DSClose(void *handle)
{
    NEED(h, handle, K_STREAM);
    Stream *s = &h->camera->stream;
    if (s->grabbing) DSStopAcquisition(handle, 0);
    DSFlushQueue(handle, ACQ_QUEUE_ALL_DISCARD);
    while (s->announced) DSRevokeBuffer(handle, s->buffers[0], NULL, NULL);
    s->open = s->event = false;
    return GC_ERR_SUCCESS;
}

GENTL DSGetInfo(void *handle, int32_t cmd, int32_t *t, void *b, size_t *size)
{
    NEED(h, handle, K_STREAM);
    Stream *s = &h->camera->stream;
    switch (cmd) {
    case STREAM_INFO_ID: return give_text(t, b, size, STREAM_ID);
    case STREAM_INFO_NUM_DELIVERED: return give_u64(t, b, size, s->delivered);
    case STREAM_INFO_NUM_UNDERRUN: return give_u64(t, b, size, s->underrun);
    case STREAM_INFO_NUM_ANNOUNCED: return give_size(t, b, size, (size_t)s->announced);
    case STREAM_INFO_NUM_QUEUED: return give_size(t, b, size, (size_t)s->inputs);
    case STREAM_INFO_NUM_AWAIT_DELIVERY: return give_size(t, b, size, (size_t)s->outputs);
    case STREAM_INFO_NUM_STARTED: return give_u64(t, b, size, s->started);
    case STREAM_INFO_PAYLOAD_SIZE: return give_size(t, b, size, camera_payload(h->camera));
    case STREAM_INFO_IS_GRABBING: return give_bool(t, b, size, s->grabbing);
    case STREAM_INFO_DEFINES_PAYLOADSIZE: return give_bool(t, b, size, true);
    case STREAM_INFO_TLTYPE: return give_text(t, b, size, "Custom");
    case STREAM_INFO_NUM_CHUNKS_MAX: return give_size(t, b, size, 3);
    case STREAM_INFO_BUF_ANNOUNCE_MIN: return give_size(t, b, size, 1);
    case STREAM_INFO_BUF_ALIGNMENT: return give_size(t, b, size, 1);
    default: return fail(GC_ERR_NOT_AVAILABLE, "no such fact of the stream");
    }
}

GENTL DSGetBufferID(void *handle, uint32_t index, void **buffer)
{
    NEED(h, handle, K_STREAM);
    WANT(buffer);
    if (index >= (uint32_t)h->camera->stream.announced) return fail(GC_ERR_INVALID_INDEX, "no such buffer");
    *buffer = h->camera->stream.buffers[index];
    return GC_ERR_SUCCESS;
}

GENTL DSGetParentDev(void *handle, void **device) { NEED(h, handle, K_STREAM); WANT(device); *device = &devices[h->camera - cameras]; return GC_ERR_SUCCESS; }

GENTL DSGetBufferInfo(void *handle, void *buffer, int32_t cmd, int32_t *t, void *v, size_t *s)
{
    NEED(h, handle, K_STREAM);
    Buffer *b = known(&h->camera->stream, buffer);
    if (!b) return fail(GC_ERR_INVALID_BUFFER, "unknown buffer");
    switch (cmd) {
    case BUFFER_INFO_BASE: return give_ptr(t, v, s, b->memory);
    case BUFFER_INFO_SIZE: return give_size(t, v, s, b->size);
    case BUFFER_INFO_USER_PTR: return give_ptr(t, v, s, b->user);
    case BUFFER_INFO_TIMESTAMP: case BUFFER_INFO_TIMESTAMP_NS:
        return h->camera->clockless ? fail(GC_ERR_NOT_AVAILABLE, "this camera has no clock") : give_u64(t, v, s, b->timestamp);
    case BUFFER_INFO_NEW_DATA: return give_bool(t, v, s, b->delivered);
    case BUFFER_INFO_IS_QUEUED: return give_bool(t, v, s, b->queued);
    case BUFFER_INFO_IS_ACQUIRING: return give_bool(t, v, s, b->acquiring);
    case BUFFER_INFO_IS_INCOMPLETE: return give_bool(t, v, s, b->incomplete);
    case BUFFER_INFO_TLTYPE: return give_text(t, v, s, "Custom");
    case BUFFER_INFO_SIZE_FILLED: case BUFFER_INFO_DATA_SIZE: return give_size(t, v, s, b->filled);
    case BUFFER_INFO_WIDTH: return give_size(t, v, s, b->width);
    case BUFFER_INFO_HEIGHT: case BUFFER_INFO_DELIVERED_IMAGEHEIGHT: return give_size(t, v, s, b->height);
    case BUFFER_INFO_XOFFSET: case BUFFER_INFO_YOFFSET: case BUFFER_INFO_XPADDING: case BUFFER_INFO_YPADDING:
    case BUFFER_INFO_IMAGEOFFSET: return give_size(t, v, s, 0);
    case BUFFER_INFO_FRAMEID: return give_u64(t, v, s, b->frame_id);
    case BUFFER_INFO_IMAGEPRESENT: return give_bool(t, v, s, b->filled > 0);
    case BUFFER_INFO_PAYLOADTYPE: return give_size(t, v, s, b->chunks ? PAYLOAD_TYPE_CHUNK_DATA : PAYLOAD_TYPE_IMAGE);
    case BUFFER_INFO_PIXELFORMAT: return give_u64(t, v, s, b->format);
    case BUFFER_INFO_PIXELFORMAT_NAMESPACE: return give_u64(t, v, s, PFNC_NAMESPACE);
    case BUFFER_INFO_DELIVERED_CHUNKPAYLOADSIZE: return give_size(t, v, s, b->chunks ? b->filled : 0);
    case BUFFER_INFO_PIXEL_ENDIANNESS: return give_i32(t, v, s, PIXEL_ENDIANNESS_LITTLE);
    case BUFFER_INFO_DATA_LARGER_THAN_BUFFER: return give_bool(t, v, s, b->larger);
    case BUFFER_INFO_CONTAINS_CHUNKDATA: return give_bool(t, v, s, b->chunks);
    default: return fail(GC_ERR_NOT_AVAILABLE, "no such fact of the buffer");
    }
}

GENTL DSGetBufferChunkData(void *handle, void *buffer, SINGLE_CHUNK_DATA *chunks, size_t *count)
{
    NEED(h, handle, K_STREAM);
    WANT(count);
    Buffer *b = known(&h->camera->stream, buffer);
    if (!b) return fail(GC_ERR_INVALID_BUFFER, "unknown buffer");
    if (!b->chunks) return fail(GC_ERR_NO_DATA, "no chunks in this buffer");
    if (chunks && *count < 3) return fail(GC_ERR_BUFFER_TOO_SMALL, "three chunks");
    for (int i = 0; chunks && i < 3; i++)
        chunks[i] = (SINGLE_CHUNK_DATA){0x1001u + (uint64_t)i, (ptrdiff_t)b->filled - 24 + 8 * i, 8};
    *count = 3;
    return GC_ERR_SUCCESS;
}

/* --- events: only that of a new buffer ---------------------------------------------------------------------------- */

GENTL GCRegisterEvent(void *source, int32_t type, void **event)
{
    Handle *h = check(source, K_STREAM);
    if (!h || type != EVENT_NEW_BUFFER) return fail(GC_ERR_NOT_IMPLEMENTED, "only new buffers of a stream are told of");
    Stream *s = &h->camera->stream;
    if (s->event) return fail(GC_ERR_RESOURCE_IN_USE, "registered already");
    s->event = true;
    s->killed = false;
    *event = &events[h->camera - cameras];
    return GC_ERR_SUCCESS;
}

GENTL GCUnregisterEvent(void *source, int32_t type)
{
    Handle *h = check(source, K_STREAM);
    if (!h || type != EVENT_NEW_BUFFER || !h->camera->stream.event) return fail(GC_ERR_INVALID_HANDLE, "not registered");
    h->camera->stream.event = false;
    return GC_ERR_SUCCESS;
}

GENTL EventKill(void *handle)
{
    Handle *h = check(handle, K_EVENT);
    if (!h) return fail(GC_ERR_INVALID_HANDLE, "no event");
    pthread_mutex_lock(&h->camera->stream.lock);
    h->camera->stream.killed = true;
    pthread_cond_broadcast(&h->camera->stream.arrived);
    pthread_mutex_unlock(&h->camera->stream.lock);
    return GC_ERR_SUCCESS;
}

GENTL EventFlush(void *handle)
{
    NEED(h, handle, K_EVENT);
    return DSFlushQueue(&streams[h->camera - cameras], ACQ_QUEUE_OUTPUT_DISCARD);
}

GENTL EventGetData(void *handle, void *data, size_t *size, uint64_t timeout_ms)
{
    NEED(h, handle, K_EVENT);
    Stream *s = &h->camera->stream;
    if (!data || !size || *size < sizeof(NEW_BUFFER_DATA)) return fail(GC_ERR_BUFFER_TOO_SMALL, "a handle and a pointer");
    bool for_ever = timeout_ms > 1000000000u;
    uint64_t until = now_ns() + (for_ever ? 0 : timeout_ms * 1000000u);
    struct timespec at = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
    GC_ERROR code = GC_ERR_SUCCESS;
    pthread_mutex_lock(&s->lock);
    while (!s->outputs && !s->killed && (for_ever || now_ns() < until)) {
        if (for_ever) pthread_cond_wait(&s->arrived, &s->lock);
        else pthread_cond_timedwait(&s->arrived, &s->lock, &at);
    }
    if (s->killed) {
        s->killed = false;
        code = GC_ERR_ABORT;
    } else if (!s->outputs) {
        code = GC_ERR_TIMEOUT;
    } else {
        Buffer *b = s->output[0];
        memmove(s->output, s->output + 1, sizeof *s->output * (size_t)--s->outputs);
        b->delivered = false;
        s->delivered++;
        NEW_BUFFER_DATA told = {b, b->user};
        memcpy(data, &told, *size = sizeof told);
    }
    pthread_mutex_unlock(&s->lock);
    return code ? fail(code, code == GC_ERR_TIMEOUT ? "no frame in time" : "the wait was ended") : code;
}

GENTL EventGetInfo(void *handle, int32_t cmd, int32_t *t, void *b, size_t *s)
{
    NEED(h, handle, K_EVENT);
    switch (cmd) {
    case EVENT_EVENT_TYPE: return give_i32(t, b, s, EVENT_NEW_BUFFER);
    case EVENT_NUM_IN_QUEUE: return give_size(t, b, s, (size_t)h->camera->stream.outputs);
    case EVENT_NUM_FIRED: return give_u64(t, b, s, h->camera->stream.fired);
    case EVENT_SIZE_MAX: case EVENT_INFO_DATA_SIZE_MAX: return give_size(t, b, s, sizeof(NEW_BUFFER_DATA));
    default: return fail(GC_ERR_NOT_AVAILABLE, "no such fact of the event");
    }
}

GENTL EventGetDataInfo(void *handle, const void *data, size_t size, int32_t cmd, int32_t *t, void *b, size_t *s)
{
    NEED(h, handle, K_EVENT);
    if (!data || size < sizeof(NEW_BUFFER_DATA)) return fail(GC_ERR_INVALID_PARAMETER, "no event data");
    switch (cmd) {
    case EVENT_DATA_ID: return give_ptr(t, b, s, ((const NEW_BUFFER_DATA *)data)->buffer);
    case EVENT_DATA_VALUE: return give_ptr(t, b, s, ((const NEW_BUFFER_DATA *)data)->user);
    default: return fail(GC_ERR_NOT_AVAILABLE, "no such fact of the event's data");
    }
}
