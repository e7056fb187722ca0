/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A payload that calls services and protocol functions at random, with arguments that fit, nearly
 * fit or are meant to hurt, until its calls are used up or one of them ends it. LoadOptions: the
 * seed and the number of calls. What it returns doesn't matter: test_random.py looks at mkexec. */
#include "guest.h"

struct system_table *st;
struct boot_services *bs;
handle self;

status efi_main(handle image, struct system_table *table);

typedef uint64_t function(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                uint64_t, uint64_t, uint64_t);

#define N_ARGUMENTS 10
#define N_SLOTS     64
#define SCRATCH     0x10000
#define LENGTH(a)   (sizeof(a) / sizeof((a)[0]))

/* What calls write to, with room behind for what they write too much. */
static struct {
        uint64_t slots[N_SLOTS]; /* results, and arguments of later calls */
        uint8_t room[0x8000];
        uint8_t scratch[SCRATCH];
        uint8_t more_room[0x8000];
} target;
static uint64_t *const slots = target.slots;
static uint8_t *const scratch = target.scratch;

static uint64_t state;
static uint64_t handles[N_SLOTS]; /* those that exist at the start */
static uint64_t n_handles;
static uint8_t *file; /* child.efi */
static uint64_t file_size, base;
static unsigned depth;

static uint64_t random64(void)
{
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t n)
{
        return (random64() >> 16) % n;
}

/* ---- what can be called: per function a letter for each argument, see argument() ---- */

static const char *const boot_letters[] = {"t", "t", "mtnA", "vn", "zbAAA", "tnA", "v", "Tt?xE",
                "emN", "neA", "e", "e", "e", "Hgti", "hgii", "hgi", "hgA", "", "geA", "mgvzb",
                "gDA", "gb", "mhdlLH", "hAA", "hnns", "h", "hv", "A", "n", "nnns", "hAdm", "hhh",
                "hgAhht", "hghh", "hgAA", "hAA", "mgvAA", "gvA", "Hgigi0", "hgigi0", "bnA", "bbn",
                "bnn", "Tt?xgE"};
static const char *const runtime_letters[] = {"bb", "b", "AAb", "mb", "nntb", "nA", "sgAzb", "zsg",
                "sgTnb", "A", "mnnb", "AnN", "AnAA", "TAAA"};

static const struct protocol {
        struct guid guid;
        unsigned first; /* slot of the first function */
        const char *letters[16];
} protocols[] = {
                {{0x387477c2, 0x69c7, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}}, 0,
                                {"im", "is", "is", "imAA", "im", "in", "i", "inn", "im"}},
                {{0x387477c1, 0x69c7, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}}, 0,
                                {"im", "ib"}},
                {{0xdd9e7534, 0x7762, 0x4698, {0x8c, 0x14, 0xf5, 0x85, 0x17, 0xa6, 0x25, 0xaa}}, 0,
                                {"im", "ib"}},
                {{0xdd9e7534, 0x7762, 0x4698, {0x8c, 0x14, 0xf5, 0x85, 0x17, 0xa6, 0x25, 0xaa}}, 3,
                                {"ib", "ib?A", "iv"}},
                {{0x3152bca5, 0xeade, 0x433d, {0x86, 0x2e, 0xc0, 0x1c, 0xdc, 0x29, 0x1f, 0x44}}, 0,
                                {"izb", "ignb"}},
                {{0x8b843e20, 0x8132, 0x4852, {0x90, 0xcc, 0x55, 0x1a, 0x4e, 0x4a, 0x7f, 0x1c}}, 0,
                                {"dmm", "dmm"}},
                {GUID_FILE_SYSTEM, 1, {"iA"}},
                {GUID_LOAD_FILE2, 0, {"idmzb"}},
                {{0x607f766c, 0x7455, 0x42be, {0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f}}, 0,
                                {"iz", "itAAA", "iTvnV", "iCcnb", "iA", "in", "iAA"}},
};
static uint64_t interfaces[LENGTH(protocols)]; /* the firmware's; later ones may be our own */
/* EFI_FILE_PROTOCOL: what OpenVolume and Open gave stands in slots. */
static const char *const file_letters[] = {"iAsTn", "i", "i", "izb", "izb", "iA", "iN", "igzb",
                "ignb", "i", "iAsTnb", "ib", "ib", "ib"};

static const struct guid guids[] = {GUID_LOADED_IMAGE, GUID_DEVICE_PATH, GUID_FILE_SYSTEM,
                GUID_FILE_INFO, GUID_LOAD_FILE2, GUID_TEST(1), GUID_TEST(2),
                {0x8be4df61, 0x93ca, 0x11d2, {0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}},
                {0x4a67b082, 0x0a4c, 0x41cf, {0xb6, 0xc7, 0x44, 0x0b, 0x29, 0xbb, 0x8c, 0x4f}},
                {0xd719b2cb, 0x3d3a, 0x4596, {0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f}},
                {0xe43176d7, 0xb6e8, 0x4827, {0xb7, 0x84, 0x7f, 0xfd, 0xc4, 0xb6, 0x85, 0x61}},
                {0x607f766c, 0x7455, 0x42be, {0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f}}};
static const char16 *const texts[] = {u"", u"\\", u"child.efi", u"\\EFI\\..\\child.efi", u"..",
                u"new", u"\\new\\deep", u"*", u"SecureBoot", u"LoaderInfo", u"db", u"MokListRT",
                u"OsIndications", u"x\x1b[2J\xd800", u"StubPcrKernelImage"};
/* a file of our volume, a vendor, an end in the middle, lengths that aren't */
static const uint8_t paths[][24] = {
                {4, 4, 24, 0, '\\', 0, 'c', 0, 'h', 0, 'i', 0, 'l', 0, 'd', 0, 0, 0, 0, 0, 0x7f,
                                0xff, 4, 0},
                {1, 4, 20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0x7f, 0xff, 4,
                                0},
                {0x7f, 0x01, 4, 0, 0x7f, 0xff, 4, 0},
                {0x7f, 0xff, 4, 0},
                {4, 4, 0, 0},
                {4, 4, 0xff, 0xff},
                {3, 14, 3, 0, 1, 2, 3},
};

/* ---- arguments ---- */

static void put32(uint8_t *at, uint32_t value, bool big)
{
        for (unsigned i = 0; i < 4; i++)
                at[i] = (uint8_t)(value >> 8 * (big ? 3 - i : i));
}

static void *tcg_event(void)
{
        static const uint32_t types[] = {
                        1, 3, 4, 5, 6, 8, 0xd, 0x80000003, 0x80000006, 0x80000001, 0x12345678};
        uint8_t *e = scratch + 0x100;
        uint32_t n = (uint32_t)below(80);

        put32(e, 18 + n + (below(8) ? 0 : (uint32_t)random64()), false);
        put32(e + 4, below(8) ? 14 : (uint32_t)below(40), false);
        e[8] = below(8) != 0, e[9] = 0;
        put32(e + 10, (uint32_t)below(26), false);
        put32(e + 14, types[below(LENGTH(types))], false);
        for (uint32_t i = 0; i < n; i++)
                e[18 + i] = (uint8_t)random64();
        return e;
}

/* A frame with any code of the command space; what follows may be handles, sessions, anything. */
static void *tpm_command(void)
{
        static const uint32_t codes[] = {0x17e, 0x182, 0x13c, 0x17b, 0x17a, 0x176, 0x17f, 0x189,
                        0x165, 0x16b, 0x186, 0x15c};
        uint8_t *c = scratch + 0x400;
        uint32_t size = 10 + (uint32_t)below(60);

        for (unsigned i = 0; i < 80; i++)
                c[i] = below(3) ? 0 : (uint8_t)below(16);
        c[0] = 0x80, c[1] = below(2) ? 1 : 2;
        put32(c + 2, below(8) ? size : (uint32_t)random64(), true);
        put32(c + 6, below(2) ? codes[below(LENGTH(codes))] : 0x11f + (uint32_t)below(0x81), true);
        slots[0] = size;
        return c;
}

static uint64_t hostile(void)
{
        /* what the program itself stands on: it falls soon after */
        const uint64_t own[] = {base + below(0x8000), (uint64_t)st + 8 * below(16),
                        (uint64_t)bs + 8 * below(48),
                        (uint64_t)__builtin_frame_address(0) - below(256)};

        switch (below(10)) {
        case 0:
                return 0;
        case 1:
                return UINT64_MAX - below(4096);
        case 2:
                return random64();
        case 3:
                return (uint64_t)scratch + SCRATCH - below(16);
        case 4:
                return 0x800000000000ull - below(16);
        case 5:
                return below(0x2000);
        case 6:
                return below(1ull << 33);
        case 7:
                return 1ull << below(64);
        case 8:
                return below(20) ? 0x10000 + below(0x100000) : own[below(LENGTH(own))];
        default:
                return slots[below(N_SLOTS)];
        }
}

static void random_call(void);

static void notified(event e, void *context)
{
        (void)e, (void)context;
        if (depth < 8)
                random_call();
}

static uint64_t argument(char letter, uint64_t interface)
{
        static const uint32_t types[] = {
                        0, 0x80000000, 0x80000200, 0x100, 0x200, 0x201, 3, 7, 1, 6};
        static const uint64_t sizes[] = {0, 1, 8, 24, 40, 80, 1000, 4096, 0x8000};

        if (!below(letter == '?' ? 100 : 12))
                return hostile();
        switch (letter) {
        case '0':
                return 0;
        case 'm':
                return below(4);
        case 't':
                return below(32);
        case 'n':
                return below(2) ? below(16) : sizes[below(LENGTH(sizes))];
        case 'N':
                return random64() >> below(64);
        case 'T': /* attributes, modes, event types */
                return types[below(LENGTH(types))];
        case 'v':
                return slots[below(N_SLOTS)];
        case 'A':
        case 'E':
        case 'H':
                return (uint64_t)&slots[below(N_SLOTS)];
        case 'z':
                slots[1] = sizes[below(LENGTH(sizes))];
                return (uint64_t)&slots[1];
        case 'b':
        case 'x':
                return (uint64_t)scratch + 0x1000 + 8 * below(0x800);
        case 'h':
                return below(3) ? handles[below(n_handles)] : slots[below(N_SLOTS)];
        case 'e':
                return below(8) ? slots[below(N_SLOTS)] : (uint64_t)&slots[below(N_SLOTS)];
        case 'g':
                return (uint64_t)&guids[below(LENGTH(guids))];
        case 's':
                return (uint64_t)texts[below(LENGTH(texts))];
        case 'd':
                return (uint64_t)paths[below(LENGTH(paths))];
        case 'D':
                slots[2] = (uint64_t)paths[below(LENGTH(paths))];
                return (uint64_t)&slots[2];
        case '?':
                return (uint64_t)&notified;
        case 'i':
                return interface ? interface : slots[below(N_SLOTS)];
        case 'l':
                return (uint64_t)file;
        case 'L':
                return file_size;
        case 'V':
                return (uint64_t)tcg_event();
        case 'C':
                return (uint64_t)below(90);
        case 'c':
                return (uint64_t)tpm_command();
        default:
                return hostile();
        }
}

/* ---- calls ---- */

static void call(uint64_t address, const char *letters, uint64_t interface)
{
        uint64_t a[N_ARGUMENTS] = {0};

        for (unsigned i = 0; i < N_ARGUMENTS && letters[i]; i++)
                a[i] = argument(letters[i], interface);
        depth++;
        ((function *)address)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
        depth--;
}

/* Exit, ExitBootServices, ResetSystem and those that write anywhere end most runs: seldom. */
static bool is_deadly(bool runtime, unsigned slot)
{
        static const uint8_t deadly[] = {9, 24, 26, 41, 42};

        if (runtime)
                return slot == 10;
        for (unsigned i = 0; i < LENGTH(deadly); i++)
                if (slot == deadly[i])
                        return true;
        return false;
}

static void call_service(bool runtime)
{
        unsigned slot = (unsigned)below(runtime ? LENGTH(runtime_letters) : LENGTH(boot_letters));
        const void *table = runtime ? (const void *)st->rt : bs;

        if (is_deadly(runtime, slot) && below(300))
                return;
        call(((const uint64_t *)table)[3 + slot],
                        runtime ? runtime_letters[slot] : boot_letters[slot], 0);
}

static void call_protocol(void)
{
        const struct protocol *p = &protocols[below(LENGTH(protocols))];
        unsigned n = 0, slot;
        uint64_t interface = interfaces[p - protocols];

        if (!interface)
                return;
        while (n < LENGTH(p->letters) && p->letters[n])
                n++;
        slot = (unsigned)below(n);
        call(((uint64_t *)interface)[p->first + slot], p->letters[slot], interface);
}

static struct file *root;

/* On the volume's root or on a file that was opened from it just now. */
static void call_file(void)
{
        unsigned slot = (unsigned)below(LENGTH(file_letters));
        struct file *f = NULL;

        if (!root)
                return;
        (void)root->open(root, &f, texts[below(LENGTH(texts))], below(4) ? 1 : 0x8000000000000003,
                        below(8) ? 0 : 0x10);
        if (!f)
                f = root;
        if (f == root && (slot == 1 || slot == 2))
                return;
        call(((uint64_t *)f)[1 + slot], file_letters[slot], (uint64_t)f);
        if (f != root && slot != 1 && slot != 2 && below(8))
                f->close(f);
}

static void random_call(void)
{
        switch (below(8)) {
        case 0:
                call_service(true);
                return;
        case 1:
        case 2:
                call_file();
                return;
        case 3:
        case 4:
                call_protocol();
                return;
        default:
                call_service(false);
        }
        if (bs->raise_tpl(31) >= 16 || !below(4))
                bs->restore_tpl(TPL_APPLICATION);
}

static uint64_t take_number(const char16 **text)
{
        uint64_t value = 0;

        for (; **text >= '0' && **text <= '9'; (*text)++)
                value = 10 * value + (**text - (uint64_t)'0');
        if (**text)
                (*text)++;
        return value;
}

static void look_around(void)
{
        static const struct guid guid = GUID_FILE_SYSTEM;
        struct file_system *volume;
        handle *all;

        base = (uint64_t)loaded_image_of(self)->base;
        for (unsigned i = 0; i < LENGTH(protocols); i++)
                (void)bs->locate_protocol(&protocols[i].guid, NULL, (void **)&interfaces[i]);
        file = read_file(u"\\child.efi", &file_size);
        if (bs->locate_handle_buffer(ALL_HANDLES, NULL, NULL, &n_handles, &all) != SUCCESS)
                n_handles = 0;
        if (n_handles > N_SLOTS)
                n_handles = N_SLOTS;
        for (uint64_t i = 0; i < n_handles; i++)
                handles[i] = (uint64_t)all[i];
        if (bs->locate_protocol(&guid, NULL, (void **)&volume) == SUCCESS)
                (void)volume->open_volume(volume, &root);
}

status efi_main(handle image, struct system_table *table)
{
        const char16 *options;
        uint64_t n;

        st = table;
        bs = st->bs;
        self = image;
        options = loaded_image_of(self)->load_options;
        state = (options ? take_number(&options) : 1) * 0x9e3779b97f4a7c15ull + 1;
        n = options ? take_number(&options) : 100;
        look_around();
        while (n-- > 0)
                random_call();
        return SUCCESS;
}
