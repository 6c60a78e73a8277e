/** Models of slimlearn for Java, by the functions of slim.h: slim_jni.c is the bridge. */
public final class Slim {
    static {
        System.loadLibrary("slim_jni");
    }

    private Slim() {}

    /** A loaded model, for any number of threads. */
    public static final class Model implements AutoCloseable {
        private long handle;

        public Model(String path) {
            handle = load(path);
        }

        /** How many columns of X a method reads. */
        public int columns(String method) {
            return Slim.columns(handle, method);
        }

        /** What a classifier means by a code. */
        public String label(int code) {
            return Slim.label(handle, code);
        }

        /** For one row at a time, and one thread. */
        public Session session(String method) {
            return new Session(open(handle, method));
        }

        @Override
        public void close() {
            free(handle);
            handle = 0;
        }
    }

    /** Ends before its model. */
    public static final class Session implements AutoCloseable {
        private long handle;

        private Session(long handle) {
            this.handle = handle;
        }

        /** Of a row: what the method gives, class codes as numbers too. */
        public double[] run(double[] row) {
            return Slim.run(handle, row);
        }

        @Override
        public void close() {
            end(handle);
            handle = 0;
        }
    }

    private static native long load(String path);

    private static native void free(long model);

    private static native int columns(long model, String method);

    private static native String label(long model, int code);

    private static native long open(long model, String method);

    private static native double[] run(long session, double[] row);

    private static native void end(long session);
}
