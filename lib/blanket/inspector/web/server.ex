defmodule Blanket.Inspector.Web.Server do
  @moduledoc false

  # OTP's httpd, for as long as this process lives.

  use GenServer

  require Logger

  alias Blanket.Inspector.Web.Handler

  @loopback {127, 0, 0, 1}
  @attempts 10

  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(opts), do: GenServer.start_link(__MODULE__, opts)

  @spec url(pid) :: String.t()
  def url(server), do: GenServer.call(server, :url)

  @impl true
  def init(opts) do
    Process.flag(:trap_exit, true)

    if Code.ensure_loaded?(:httpd),
      do: start(opts[:web], opts[:port], @attempts),
      else: {:stop, {:not_available, :inets}}
  end

  defp start(web, port, attempts) do
    chosen = if port == 0, do: free_port(), else: port

    case listen(web, chosen) do
      {:ok, httpd} ->
        Logger.info("Blanket shows its tables at #{address(chosen)}")
        {:ok, %{httpd: httpd, port: chosen}}

      # Somebody was faster.
      {:error, :eaddrinuse} when port == 0 and attempts > 1 ->
        start(web, port, attempts - 1)

      {:error, reason} ->
        {:stop, reason}
    end
  end

  defp free_port do
    {:ok, socket} = :gen_tcp.listen(0, ip: @loopback)
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    port
  end

  defp listen(web, port) do
    # The server's own directories: it is given no module that would serve files.
    directory = :code.lib_dir(:blanket)

    options = [
      port: port,
      bind_address: @loopback,
      ipfamily: :inet,
      server_name: ~c"localhost",
      server_root: directory,
      document_root: directory,
      server_tokens: :none,
      modules: [Handler],
      max_clients: 32,
      max_uri_size: 1024,
      max_header_size: 16_384,
      max_body_size: 1024,
      keep_alive_timeout: 30,
      blanket_inspector: web
    ]

    case :inets.start(:httpd, options, :stand_alone) do
      {:ok, httpd} ->
        {:ok, httpd}

      {:error, reason} ->
        receive do: ({:EXIT, _pid, _reason} -> :ok), after: (0 -> :ok)
        {:error, if(in_use?(port), do: :eaddrinuse, else: reason)}
    end
  end

  # httpd hides the reason deep in that of its supervisors.
  defp in_use?(port) do
    case :gen_tcp.listen(port, ip: @loopback, reuseaddr: true) do
      {:ok, socket} -> :gen_tcp.close(socket) != :ok
      {:error, reason} -> reason == :eaddrinuse
    end
  end

  defp address(port), do: "http://127.0.0.1:#{port}"

  @impl true
  def handle_call(:url, _from, state), do: {:reply, address(state.port), state}

  @impl true
  def handle_info({:EXIT, httpd, reason}, %{httpd: httpd} = state), do: {:stop, reason, state}
  def handle_info(_message, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, %{httpd: httpd, port: port}) do
    monitor = Process.monitor(httpd)
    # It is a supervisor, and this process its parent.
    Process.exit(httpd, :shutdown)

    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} -> await_free(port, 200)
    end
  end

  # A socket is closed a moment after its process has ended.
  defp await_free(port, attempts) do
    if attempts > 0 and in_use?(port) do
      Process.sleep(10)
      await_free(port, attempts - 1)
    end
  end
end
