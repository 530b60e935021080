defmodule Blanket.Inspector.Web do
  @moduledoc """
  A web page that shows the tables of this node: see [Watching tables](watching-tables.md).

  It is served while somebody wants it, by `Blanket.Inspector.start_web/1`, or as a child of a supervisor
  of your own:

      children = [{Blanket.Inspector.Web, port: 4040}]

  The server is that of OTP, `inets`, an optional application of Blanket: a node without it runs all the
  same, and has no page. A release contains it when your own project has `:inets` among its
  `:extra_applications`.

  ## Who sees what

  The page listens on the loopback address alone, changes nothing, and answers only requests that
  were addressed to this host, so that no page of another site can read it. Whoever can open a port
  on the machine can see it, and with it the objects of all tables that are public or protected. Of
  private ones it shows no objects.
  """

  use Supervisor

  alias Blanket.Inspector.{History, Objects}
  alias Blanket.Inspector.Web.Server

  @typedoc """
    * `:port` – 4040 by default; 0 for any that is free.
  """
  @type option :: {:port, :inet.port_number()}

  @doc """
  Starts the page, linked to the caller.

      iex> {:ok, web} = Blanket.Inspector.Web.start_link(port: 0)
      iex> Blanket.Inspector.Web.url(web) =~ ~r"^http://127.0.0.1:[0-9]+$"
      true
      iex> Supervisor.stop(web)
      :ok
  """
  @spec start_link([option]) :: Supervisor.on_start()
  def start_link(opts \\ []) do
    opts = Keyword.validate!(opts, port: 4040)

    unless opts[:port] in 0..65_535,
      do: raise(ArgumentError, "the port #{inspect(opts[:port])} is no number from 0 to 65535")

    with {:error, {:shutdown, {:failed_to_start_child, _child, reason}}} <-
           Supervisor.start_link(__MODULE__, opts),
         do: {:error, reason}
  end

  @doc """
  Where the page is.
  """
  @spec url(Supervisor.supervisor()) :: String.t()
  def url(web) do
    {Server, server, _, _} = web |> Supervisor.which_children() |> List.keyfind(Server, 0)
    Server.url(server)
  end

  @impl true
  def init(opts) do
    children = [
      History,
      Objects,
      {Server, [web: self(), port: opts[:port]]}
    ]

    Supervisor.init(children, strategy: :rest_for_one)
  end
end
