/* The simulated camera behind the producer: registers, trigger, exposure, faults. See producer.c for the GenTL side. */
#ifndef LINEGATE_CAMERA_H
#define LINEGATE_CAMERA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CAMERAS 8
#define MAX_BUFFERS 64
#define XML_ADDRESS 0x100000u

/* Addresses of the registers that device_xml() speaks of. */
enum {
    R_START = 0x1000, R_STOP = 0x1004, R_MODE = 0x1008, R_WIDTH = 0x100C, R_HEIGHT = 0x1010, R_OFFSET_X = 0x1014,
    R_OFFSET_Y = 0x1018, R_FORMAT = 0x101C, R_TRIGGER_MODE = 0x1024, R_TRIGGER_SOURCE = 0x1028, R_ACTIVATION = 0x102C,
    R_SOFTWARE = 0x1030, R_PATTERN = 0x1034, R_CHUNK_MODE = 0x1038, R_PAYLOAD = 0x103C, R_LATCH = 0x1040,
    R_SENSOR_WIDTH = 0x1044, R_SENSOR_HEIGHT = 0x1048, R_FRAME_COUNT = 0x104C, R_RESET = 0x1050, R_SELECTOR = 0x1054,
    R_EXPOSURE = 0x1100, R_GAIN = 0x1108, R_RATE = 0x1110, R_DELAY = 0x1118, R_LATCHED = 0x1120,
    R_USER_ID = 0x1200, R_VENDOR = 0x1240, R_MODEL = 0x1280, R_SERIAL = 0x12C0, R_VERSION = 0x1300, R_END = 0x1340
};

enum { PATTERN_OFF, PATTERN_RAMP, PATTERN_COUNTER };
enum { SOURCE_SOFTWARE, SOURCE_LINE0 };

typedef struct {
    uint8_t *memory;
    size_t size, filled;
    void *user;
    bool owned, queued, acquiring, delivered, incomplete, larger, chunks;
    uint32_t width, height, format;
    uint64_t frame_id, timestamp;
} Buffer;

typedef struct Camera Camera;

typedef struct {
    Camera *camera;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    Buffer *buffers[MAX_BUFFERS], *input[MAX_BUFFERS], *output[MAX_BUFFERS];
    int announced, inputs, outputs;
    uint64_t delivered, underrun, started, fired;
    bool open, event, killed;
    _Atomic bool grabbing;
} Stream;

/* Faults that the next exposures show; each counts down. */
typedef struct { int drop, skip, late, late_ms, twice, incomplete, small, black, stuck, swap; } Faults;

struct Camera {
    char serial[32], belt[64];
    uint32_t sensor_width, sensor_height;
    bool clockless; /* no timestamp of a frame, no latch */
    _Atomic bool plugged, open, running;
    _Atomic uint32_t serial_of_opening; /* an open handle of before an unplugging is worth nothing afterwards */
    uint8_t registers[R_END - R_START];
    pthread_mutex_t lock;
    pthread_cond_t triggered;
    int edges;
    uint64_t edge_at, frame_id, zero_ns;
    _Atomic uint64_t hang_until;
    Faults faults;
    pthread_t thread, ears;
    bool thread_alive;
    _Atomic bool ears_alive;
    int socket;
    const uint8_t *belt_memory;
    size_t belt_size;
    uint8_t *last;
    size_t last_size;
    Stream stream;
};

uint64_t now_ns(void);
int camera_list(Camera *cameras); /* reads the file that LINEGATE_GENTL_CONFIG names; how many there are */
void camera_listen(Camera *camera);
void camera_forget(Camera *camera);
void camera_reset(Camera *camera);
size_t camera_payload(Camera *camera);
int32_t camera_read(Camera *camera, uint64_t address, void *bytes, size_t size);
int32_t camera_write(Camera *camera, uint64_t address, const void *bytes, size_t size);
void camera_run(Camera *camera);
void camera_halt(Camera *camera);
const char *device_xml(void);
const char *module_xml(void);

#endif
