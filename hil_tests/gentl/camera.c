/* The camera itself: registers, trigger, exposure of what lies on the simulated belt, and faults on demand.
 *
 * Told from outside by datagrams to the Unix socket "<config file>.<serial>": "edge" raises Line0; "drop 3", "late 2 40"
 * and so on make the next exposures go wrong (see hear()); "unplug" and "plug"; "hang 500" lets every call of the
 * consumer stand still. Layout of the belt: controller/sim/belt.py. */
#define _GNU_SOURCE
#include "camera.h"
#include "gentl.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, BELT_WIDTH = 1, BELT_HEIGHT = 2, BELT_SLOTS = 3, BELT_START = 4, BELT_MANUAL = 9 };
enum { SLOT_LOCK, SLOT_NUMBER, SLOT_ENTERS, SLOT_LEAVES };
#define BELT_MAGIC 0x4C4742454C540001LL

/* PFNC names of the formats that this camera has. */
enum {
    MONO8 = 0x01080001, MONO10 = 0x01100003, MONO12 = 0x01100005, MONO16 = 0x01100007, MONO12P = 0x010C0047,
    BAYER_RG8 = 0x01080009, RGB8 = 0x02180014
};
static const uint32_t FORMATS[] = {MONO8, MONO10, MONO12, MONO16, MONO12P, BAYER_RG8, RGB8};

uint64_t now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t at)
{
    struct timespec until = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
    pthread_cond_timedwait(condition, lock, &until);
}

static void sleep_until(uint64_t at)
{
    struct timespec until = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) { }
}

/* --- registers ------------------------------------------------------------------------------------------------ */

static uint32_t word(Camera *c, uint32_t address)
{
    uint32_t value;
    memcpy(&value, c->registers + address - R_START, 4);
    return value;
}

static void set_word(Camera *c, uint32_t address, uint32_t value) { memcpy(c->registers + address - R_START, &value, 4); }

static double real(Camera *c, uint32_t address)
{
    double value;
    memcpy(&value, c->registers + address - R_START, 8);
    return value;
}

static void set_real(Camera *c, uint32_t address, double value) { memcpy(c->registers + address - R_START, &value, 8); }

static void set_text(Camera *c, uint32_t address, const char *text)
{
    memset(c->registers + address - R_START, 0, 64);
    strncpy((char *)c->registers + address - R_START, text, 63);
}

static size_t image_bytes(uint32_t format, size_t width, size_t height) { return width * height * (format >> 16 & 0xFF) / 8; }

size_t camera_payload(Camera *c)
{
    size_t chunks = word(c, R_CHUNK_MODE) ? 24 : 0;
    return image_bytes(word(c, R_FORMAT), word(c, R_WIDTH), word(c, R_HEIGHT)) + chunks;
}

void camera_reset(Camera *c)
{
    memset(c->registers, 0, sizeof c->registers);
    set_word(c, R_WIDTH, c->sensor_width);
    set_word(c, R_HEIGHT, c->sensor_height);
    set_word(c, R_SENSOR_WIDTH, c->sensor_width);
    set_word(c, R_SENSOR_HEIGHT, c->sensor_height);
    set_word(c, R_FORMAT, MONO8);
    set_word(c, R_SELECTOR, 0);
    set_real(c, R_EXPOSURE, 200.0);
    set_real(c, R_RATE, 30.0);
    set_text(c, R_USER_ID, c->serial);
    set_text(c, R_VENDOR, "Linegate");
    set_text(c, R_MODEL, "Simulated GenTL camera");
    set_text(c, R_SERIAL, c->serial);
    set_text(c, R_VERSION, "1.0");
}

static bool valid(Camera *c, uint64_t address, const void *bytes, size_t size)
{
    uint32_t value = 0;
    double number = 0;
    if (size == 4) memcpy(&value, bytes, 4);
    if (size == 8) memcpy(&number, bytes, 8);
    switch (address) {
    case R_WIDTH: return value >= 16 && value % 16 == 0 && value + word(c, R_OFFSET_X) <= c->sensor_width;
    case R_HEIGHT: return value >= 2 && value % 2 == 0 && value + word(c, R_OFFSET_Y) <= c->sensor_height;
    case R_OFFSET_X: return value % 16 == 0 && value + word(c, R_WIDTH) <= c->sensor_width;
    case R_OFFSET_Y: return value % 2 == 0 && value + word(c, R_HEIGHT) <= c->sensor_height;
    case R_FORMAT:
        for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
            if (FORMATS[i] == value) return true;
        return false;
    case R_EXPOSURE: return number >= 10 && number <= 1e6;
    case R_GAIN: return number >= 0 && number <= 24;
    case R_RATE: return number >= 0.1 && number <= 1000;
    case R_DELAY: return number >= 0 && number <= 1e6;
    case R_MODE: case R_TRIGGER_MODE: case R_TRIGGER_SOURCE: case R_CHUNK_MODE: return value <= 1;
    case R_PATTERN: return value <= PATTERN_COUNTER;
    case R_ACTIVATION: case R_SELECTOR: return value == 0;
    default: return true;
    }
}

/* Whole registers only: half a number would get past valid(). */
static bool whole(uint64_t address, size_t size)
{
    if (address < R_EXPOSURE) return size == 4 && address % 4 == 0;
    if (address < R_USER_ID) return size == 8 && address % 8 == 0;
    return address == R_USER_ID && size <= R_VENDOR - R_USER_ID;
}

static bool locked_while_running(uint64_t address)
{
    return address == R_WIDTH || address == R_HEIGHT || address == R_FORMAT || address == R_CHUNK_MODE;
}

int32_t camera_read(Camera *c, uint64_t address, void *bytes, size_t size)
{
    if (!c->plugged) return GC_ERR_IO;
    if (address >= XML_ADDRESS && address + size <= XML_ADDRESS + strlen(device_xml()) + 8) {
        memset(bytes, 0, size);
        size_t from = (size_t)(address - XML_ADDRESS), length = strlen(device_xml());
        if (from < length) memcpy(bytes, device_xml() + from, from + size <= length ? size : length - from);
        return GC_ERR_SUCCESS;
    }
    if (address < R_START || address + size > R_END) return GC_ERR_INVALID_ADDRESS;
    pthread_mutex_lock(&c->lock);
    set_word(c, R_PAYLOAD, (uint32_t)camera_payload(c));
    set_word(c, R_FRAME_COUNT, (uint32_t)c->frame_id);
    memcpy(bytes, c->registers + address - R_START, size);
    pthread_mutex_unlock(&c->lock);
    return GC_ERR_SUCCESS;
}

int32_t camera_write(Camera *c, uint64_t address, const void *bytes, size_t size)
{
    if (!c->plugged) return GC_ERR_IO;
    if (address < R_START || address + size > R_END) return GC_ERR_INVALID_ADDRESS;
    if (address == R_PAYLOAD || address == R_SENSOR_WIDTH || address == R_SENSOR_HEIGHT || address == R_FRAME_COUNT ||
        address == R_LATCHED || address >= R_VENDOR)
        return GC_ERR_ACCESS_DENIED;
    if (!whole(address, size) || (address == R_LATCH && c->clockless)) return GC_ERR_INVALID_ADDRESS;
    if (locked_while_running(address) && c->running) return GC_ERR_ACCESS_DENIED;
    pthread_mutex_lock(&c->lock);
    if (!valid(c, address, bytes, size)) {
        pthread_mutex_unlock(&c->lock);
        return GC_ERR_INVALID_VALUE;
    }
    switch (address) {
    case R_START: c->running = true; pthread_cond_broadcast(&c->triggered); break;
    case R_STOP: c->running = false; c->edges = 0; pthread_cond_broadcast(&c->triggered); break;
    case R_SOFTWARE:
        if (word(c, R_TRIGGER_MODE) && word(c, R_TRIGGER_SOURCE) == SOURCE_SOFTWARE && c->running) {
            c->edges++;
            c->edge_at = now_ns();
            pthread_cond_broadcast(&c->triggered);
        }
        break;
    case R_LATCH: {
        uint64_t at = now_ns() - c->zero_ns;
        memcpy(c->registers + R_LATCHED - R_START, &at, 8);
        break;
    }
    case R_RESET: camera_reset(c); break;
    default: memcpy(c->registers + address - R_START, bytes, size);
    }
    c->registers[R_VENDOR - R_START - 1] = 0; /* the end of the user's name */
    pthread_mutex_unlock(&c->lock);
    return GC_ERR_SUCCESS;
}

/* --- what it sees --------------------------------------------------------------------------------------------- */

static size_t belt_stride(const int64_t *belt)
{
    return PAGE + ((size_t)belt[BELT_WIDTH] * (size_t)belt[BELT_HEIGHT] + PAGE - 1) / PAGE * PAGE;
}

/* Its slots, the one that is set by hand and the empty belt lie in this memory. */
static bool belt_is_whole(const int64_t *belt, size_t size)
{
    if (*belt != BELT_MAGIC) return false;
    for (int fact = BELT_WIDTH; fact <= BELT_SLOTS; fact++)
        if (belt[fact] < 1 || belt[fact] > 1 << 16) return false;
    return size >= PAGE + belt_stride(belt) * ((size_t)belt[BELT_SLOTS] + 2);
}

static void attach_belt(Camera *c)
{
    char name[96];
    struct stat status;
    snprintf(name, sizeof name, "/linegate-%s", c->belt);
    name[31] = 0; /* controller/sim/segment.py keeps 30 characters and the slash */
    int file = shm_open(name, O_RDONLY, 0);
    if (file < 0) return;
    if (fstat(file, &status) == 0 && status.st_size > PAGE) {
        void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
        if (memory != MAP_FAILED && belt_is_whole(memory, (size_t)status.st_size)) {
            c->belt_memory = memory;
            c->belt_size = (size_t)status.st_size;
        } else if (memory != MAP_FAILED) {
            munmap(memory, (size_t)status.st_size);
        }
    }
    close(file);
}

static void detach_belt(Camera *c)
{
    if (c->belt_memory) munmap((void *)c->belt_memory, c->belt_size);
    c->belt_memory = NULL;
}

/* The slot in view at this time; the last one, the empty belt, where there is no part. */
static const uint8_t *slot_in_view(const uint8_t *memory, uint64_t at, size_t stride)
{
    const volatile int64_t *words = (const volatile int64_t *)memory;
    int64_t slots = words[BELT_SLOTS], start = words[BELT_START];
    if (words[BELT_MANUAL]) return memory + PAGE + stride * (size_t)slots;
    for (int64_t i = 0; start && i < slots; i++) {
        const volatile int64_t *slot = (const volatile int64_t *)(memory + PAGE + stride * (size_t)i);
        int64_t offset = (int64_t)at - start;
        if (slot[SLOT_NUMBER] && !(slot[SLOT_LOCK] & 1) && slot[SLOT_ENTERS] <= offset && offset < slot[SLOT_LEAVES])
            return memory + PAGE + stride * (size_t)i;
    }
    return memory + PAGE + stride * (size_t)(slots + 1);
}

static void put_row(uint32_t format, uint8_t *to, const uint8_t *grey, size_t width)
{
    switch (format) {
    case RGB8:
        for (size_t x = 0; x < width; x++) memset(to + 3 * x, grey[x], 3);
        return;
    case MONO10: case MONO12: case MONO16: {
        int shift = format == MONO10 ? 2 : format == MONO12 ? 4 : 8;
        for (size_t x = 0; x < width; x++) {
            uint16_t value = (uint16_t)(grey[x] << shift);
            memcpy(to + 2 * x, &value, 2);
        }
        return;
    }
    case MONO12P:
        for (size_t x = 0; x + 1 < width; x += 2) {
            unsigned a = (unsigned)grey[x] << 4, b = (unsigned)grey[x + 1] << 4;
            uint8_t *three = to + x / 2 * 3;
            three[0] = (uint8_t)a;
            three[1] = (uint8_t)(a >> 8 | (b & 0xF) << 4);
            three[2] = (uint8_t)(b >> 4);
        }
        return;
    default: memcpy(to, grey, width);
    }
}

static void expose(Camera *c, Buffer *b, uint64_t at, bool black)
{
    size_t width = b->width, height = b->height, row = image_bytes(b->format, width, 1);
    uint32_t pattern = word(c, R_PATTERN), left = word(c, R_OFFSET_X), top = word(c, R_OFFSET_Y);
    double gain = pow(10, real(c, R_GAIN) / 20);
    if (c->belt[0] && !c->belt_memory) attach_belt(c);
    const int64_t *belt = (const int64_t *)c->belt_memory;
    size_t belt_width = belt ? (size_t)belt[BELT_WIDTH] : 0, belt_height = belt ? (size_t)belt[BELT_HEIGHT] : 0;
    size_t stride = belt ? belt_stride(belt) : 0;
    uint8_t *line = malloc(width);
    if (!line) return;
    for (int attempt = 0; attempt < 3; attempt++) {
        const uint8_t *slot = belt ? slot_in_view(c->belt_memory, at, stride) : NULL;
        int64_t lock = slot ? *(const volatile int64_t *)slot : 0;
        for (size_t y = 0; y < height && (y + 1) * row <= b->size; y++) {
            const uint8_t *seen = line;
            if (black) memset(line, 0, width);
            else if (pattern == PATTERN_RAMP || (!belt && pattern == PATTERN_OFF))
                for (size_t x = 0; x < width; x++) line[x] = (uint8_t)(x + y);
            else if (pattern == PATTERN_COUNTER) memset(line, (int)(c->frame_id & 0xFF), width);
            else if (y + top < belt_height && left + width <= belt_width)
                seen = slot + PAGE + (y + top) * belt_width + left;
            else
                for (size_t x = 0; x < width; x++) {
                    bool inside = y + top < belt_height && x + left < belt_width;
                    line[x] = inside ? slot[PAGE + (y + top) * belt_width + x + left] : 0;
                }
            if (gain > 1.001) {
                for (size_t x = 0; x < width; x++) line[x] = (uint8_t)fmin(255, seen[x] * gain);
                seen = line;
            }
            put_row(b->format, b->memory + y * row, seen, width);
        }
        if (!slot || *(const volatile int64_t *)slot == lock) break;
    }
    free(line);
    b->larger = row * height > b->size;
    b->filled = b->larger ? b->size / row * row : row * height;
    b->incomplete |= b->larger;
}

/* --- one exposure --------------------------------------------------------------------------------------------- */

static bool counted(int *left) { return *left > 0 && (*left)--; }

static Buffer *take_buffer(Stream *s)
{
    Buffer *b = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->inputs) {
        b = s->input[0];
        memmove(s->input, s->input + 1, sizeof(Buffer *) * (size_t)--s->inputs);
        b->queued = false;
        b->acquiring = true;
    } else {
        s->underrun++;
    }
    pthread_mutex_unlock(&s->lock);
    return b;
}

static void hand_over(Stream *s, Buffer *b)
{
    pthread_mutex_lock(&s->lock);
    b->acquiring = false;
    b->delivered = true;
    s->output[s->outputs++] = b;
    s->fired++;
    pthread_cond_broadcast(&s->arrived);
    pthread_mutex_unlock(&s->lock);
}

static void add_chunks(Camera *c, Buffer *b, double exposure_us)
{
    b->chunks = word(c, R_CHUNK_MODE) && b->filled + 24 <= b->size;
    if (!b->chunks) return;
    memcpy(b->memory + b->filled, &b->timestamp, 8);
    memcpy(b->memory + b->filled + 8, &b->frame_id, 8);
    memcpy(b->memory + b->filled + 16, &exposure_us, 8);
    b->filled += 24;
}

static void fill(Camera *c, Buffer *b, uint64_t start, Faults *f)
{
    b->width = word(c, R_WIDTH);
    b->height = word(c, R_HEIGHT) / (counted(&f->small) ? 2 : 1);
    b->format = word(c, R_FORMAT);
    b->frame_id = c->frame_id;
    b->timestamp = start - c->zero_ns;
    b->incomplete = counted(&f->incomplete);
    expose(c, b, start, counted(&f->black));
    if (counted(&f->stuck) && c->last && c->last_size == b->filled) memcpy(b->memory, c->last, b->filled);
    uint8_t *kept = b->filled == c->last_size ? c->last : realloc(c->last, b->filled + 1);
    if (kept) memcpy(c->last = kept, b->memory, c->last_size = b->filled);
    if (b->incomplete) b->filled /= 2;
    else add_chunks(c, b, real(c, R_EXPOSURE));
}

/* Runs with the camera's lock, which it gives away while it exposes. held: a frame kept back to swap it with the next. */
static void one_frame(Camera *c, uint64_t asked_at, Buffer **held)
{
    Faults *f = &c->faults;
    if (counted(&f->skip)) return;
    uint64_t start = asked_at + (uint64_t)(real(c, R_DELAY) * 1000), end = start + (uint64_t)(real(c, R_EXPOSURE) * 1000);
    int late_ms = counted(&f->late) ? f->late_ms : 0;
    bool drop = counted(&f->drop), twice = counted(&f->twice), swap = counted(&f->swap);
    c->frame_id++;
    pthread_mutex_unlock(&c->lock);
    sleep_until(start);
    Buffer *b = drop ? NULL : take_buffer(&c->stream);
    pthread_mutex_lock(&c->lock);
    if (b) fill(c, b, start, f);
    Buffer *copy = b && twice ? take_buffer(&c->stream) : NULL;
    if (copy) {
        uint8_t *memory = copy->memory;
        size_t size = copy->size;
        void *user = copy->user;
        bool owned = copy->owned;
        *copy = *b;
        copy->memory = memory, copy->size = size, copy->user = user, copy->owned = owned;
        if (copy->filled > size) copy->filled = size, copy->incomplete = true;
        memcpy(copy->memory, b->memory, copy->filled);
    }
    pthread_mutex_unlock(&c->lock);
    sleep_until(end + (uint64_t)late_ms * 1000000u);
    if (b && swap && !*held) {
        *held = b;
    } else if (b) {
        hand_over(&c->stream, b);
        if (*held) hand_over(&c->stream, *held);
        *held = NULL;
    }
    if (copy) hand_over(&c->stream, copy);
    pthread_mutex_lock(&c->lock);
    /* What came during the exposure finds the sensor busy, as in a camera without overlap. */
    if (word(c, R_TRIGGER_MODE)) c->edges = c->edge_at > end ? c->edges : 0;
}

static void *acquire(void *argument)
{
    Camera *c = argument;
    Buffer *held = NULL;
    uint64_t next = now_ns();
    pthread_mutex_lock(&c->lock);
    while (c->thread_alive) {
        bool may = c->plugged && c->running && c->stream.grabbing;
        if (may && word(c, R_TRIGGER_MODE) && c->edges) {
            c->edges--;
            one_frame(c, c->edge_at, &held);
        } else if (may && !word(c, R_TRIGGER_MODE)) {
            uint64_t now = now_ns();
            if (now >= next) {
                next += (uint64_t)(1e9 / real(c, R_RATE));
                if (next < now) next = now;
                one_frame(c, now, &held);
            } else {
                wait_until(&c->triggered, &c->lock, next);
            }
        } else {
            wait_until(&c->triggered, &c->lock, now_ns() + 50000000u);
        }
    }
    pthread_mutex_unlock(&c->lock);
    if (held) held->acquiring = false;
    return NULL;
}

void camera_run(Camera *c)
{
    if (c->thread_alive) return;
    c->edges = 0;
    c->thread_alive = true;
    if (pthread_create(&c->thread, NULL, acquire, c) != 0) c->thread_alive = false;
}

void camera_halt(Camera *c)
{
    if (!c->thread_alive) return;
    pthread_mutex_lock(&c->lock);
    c->thread_alive = false;
    pthread_cond_broadcast(&c->triggered);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
}

/* --- told from outside ---------------------------------------------------------------------------------------- */

static void hear(Camera *c, char *text)
{
    char what[24] = "";
    int count = 1, extra = 0;
    sscanf(text, "%23s %d %d", what, &count, &extra);
    struct { const char *name; int *field; } faults[] = {
        {"drop", &c->faults.drop}, {"skip", &c->faults.skip}, {"late", &c->faults.late}, {"twice", &c->faults.twice},
        {"incomplete", &c->faults.incomplete}, {"small", &c->faults.small}, {"black", &c->faults.black},
        {"stuck", &c->faults.stuck}, {"swap", &c->faults.swap},
    };
    pthread_mutex_lock(&c->lock);
    if (!strcmp(what, "edge")) {
        if (word(c, R_TRIGGER_MODE) && word(c, R_TRIGGER_SOURCE) == SOURCE_LINE0 && c->running && c->plugged) {
            c->edges++;
            c->edge_at = now_ns();
        }
    } else if (!strcmp(what, "unplug")) {
        c->plugged = c->running = false;
        c->serial_of_opening++;
    } else if (!strcmp(what, "plug") && !c->plugged) {
        camera_reset(c);
        c->frame_id = 0;
        c->zero_ns = now_ns();
        c->plugged = true;
    } else if (!strcmp(what, "hang")) {
        c->hang_until = now_ns() + (uint64_t)count * 1000000u;
    }
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (!strcmp(what, faults[i].name)) *faults[i].field = count;
    if (!strcmp(what, "late")) c->faults.late_ms = extra;
    pthread_cond_broadcast(&c->triggered);
    pthread_mutex_unlock(&c->lock);
}

static void *listen_on(void *argument)
{
    Camera *c = argument;
    char text[128];
    ssize_t length;
    while (c->ears_alive && (length = recv(c->socket, text, sizeof text - 1, 0)) >= 0) {
        text[length] = 0;
        if (!strcmp(text, "bye")) break;
        hear(c, text);
    }
    return NULL;
}

static bool socket_name(Camera *c, struct sockaddr_un *address)
{
    const char *config = getenv("LINEGATE_GENTL_CONFIG");
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    return config && snprintf(address->sun_path, sizeof address->sun_path, "%s.%s", config, c->serial) <
                         (int)sizeof address->sun_path;
}

void camera_listen(Camera *c)
{
    struct sockaddr_un address;
    if (!socket_name(c, &address)) return;
    unlink(address.sun_path);
    c->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (c->socket < 0 || bind(c->socket, (struct sockaddr *)&address, sizeof address) < 0) return;
    c->ears_alive = true;
    c->ears_alive = pthread_create(&c->ears, NULL, listen_on, c) == 0;
}

void camera_forget(Camera *c)
{
    struct sockaddr_un address;
    camera_halt(c);
    if (c->ears_alive && socket_name(c, &address)) {
        c->ears_alive = false;
        int voice = socket(AF_UNIX, SOCK_DGRAM, 0);
        sendto(voice, "bye", 3, 0, (struct sockaddr *)&address, sizeof address);
        close(voice);
        pthread_join(c->ears, NULL);
        unlink(address.sun_path);
    }
    if (c->socket > 0) close(c->socket);
    c->socket = 0;
    detach_belt(c);
    free(c->last);
    c->last = NULL;
    c->last_size = 0;
}

/* The library may be unloaded and loaded again while a camera is unplugged: a file "<config file>.<serial>.unplugged". */
static bool told_unplugged(const char *serial)
{
    char path[512];
    const char *config = getenv("LINEGATE_GENTL_CONFIG");
    return config && snprintf(path, sizeof path, "%s.%s.unplugged", config, serial) < (int)sizeof path && access(path, F_OK) == 0;
}

static void make(Camera *c, const char *serial, uint32_t width, uint32_t height, const char *belt, bool clockless)
{
    pthread_condattr_t monotonic;
    memset(c, 0, sizeof *c);
    snprintf(c->serial, sizeof c->serial, "%s", serial);
    snprintf(c->belt, sizeof c->belt, "%s", belt);
    c->clockless = clockless;
    c->sensor_width = width;
    c->sensor_height = height;
    c->plugged = !told_unplugged(serial);
    c->zero_ns = now_ns();
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->triggered, &monotonic);
    pthread_mutex_init(&c->stream.lock, NULL);
    pthread_cond_init(&c->stream.arrived, &monotonic);
    c->stream.camera = c;
    camera_reset(c);
}

/* A line of the file: serial width height [belt or - [noclock]]. Without a file there are two cameras with test patterns. */
int camera_list(Camera *cameras)
{
    char line[256], serial[32], belt[64], clock[16];
    unsigned width, height;
    int count = 0;
    const char *config = getenv("LINEGATE_GENTL_CONFIG");
    FILE *file = config ? fopen(config, "r") : NULL;
    if (!file) {
        make(&cameras[0], "SIM0001", 640, 480, "", false);
        make(&cameras[1], "SIM0002", 640, 480, "", false);
        return 2;
    }
    while (count < MAX_CAMERAS && fgets(line, sizeof line, file)) {
        belt[0] = clock[0] = 0;
        if (sscanf(line, "%31s %u %u %63s %15s", serial, &width, &height, belt, clock) < 3 || serial[0] == '#') continue;
        if (!strcmp(belt, "-")) belt[0] = 0;
        make(&cameras[count++], serial, width, height, belt, !strcmp(clock, "noclock"));
    }
    fclose(file);
    return count;
}
